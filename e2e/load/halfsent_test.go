package load_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"patchbay/e2e/rig"
	"patchbay/internal/caller"
)

// Connections that never bring a whole message.
const (
	halfSent  = 2000
	halfLimit = 15 * time.Second // from the connection until the node has closed it
	halfCalls = 10               // good calls meanwhile, one begun each second
)

// TestTwoThousandHalfSentConnectionsAreClosedWhileCallsGoOn cuts an INVITE at
// every place, and sends the rest never or byte by byte.
func TestTwoThousandHalfSentConnectionsAreClosedWhileCallsGoOn(t *testing.T) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Max < 2*halfSent {
		t.Fatalf("%d files may be open, want %d: raise ulimit -n (%v)", files.Max, 2*halfSent, err)
	}
	node := rig.StartWide(t, 2, rig.Settings{"sip.max_connections_per_source": "3000"})
	op := node.Operator(t)
	uri := node.URI(op.Endpoint(t, op.Echo(t).Agent, nil).Slug)
	start, machine := look(node), rig.WatchStall(t)
	text := node.Text(rig.Request{Method: "INVITE", URI: uri, Body: rig.Offer(9)}.Fresh())

	var all sync.WaitGroup
	var mu sync.Mutex
	var longest time.Duration
	var open int
	for i := range halfSent {
		all.Go(func() {
			took, err := stall(node, text[:1+i*(len(text)-2)/halfSent], i%2 == 1)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				open++
				t.Logf("connection %d, cut after %d bytes: %v", i, 1+i*(len(text)-2)/halfSent, err)
			}
			longest = max(longest, took)
		})
	}
	goodCalls(t, uri)
	all.Wait()
	t.Logf("%d connections, half of them byte by byte: the last was closed after %v", halfSent, longest.Round(10*time.Millisecond))
	if limit := halfLimit + machine.Worst(); open > 0 || longest > limit {
		t.Errorf("%d of %d connections were left open, the last closed after %v, want none and %v", open, halfSent, longest, limit)
	}
	node.Idle(t, time.Minute)
	rig.Until(t, time.Minute, func() (string, bool) {
		return "goroutines are back", look(node).goroutines <= start.goroutines*(1+slack)
	})
}

// stall sends a part of a message and waits for the end of the connection.
func stall(node *rig.Node, part string, slow bool) (took time.Duration, err error) {
	conn, err := net.DialTimeout("tcp", node.SIP.String(), halfLimit)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	began := time.Now()
	if !slow {
		_, err = io.WriteString(conn, part)
	}
	for i := 0; err == nil && time.Since(began) < 2*halfLimit; i++ {
		if slow && i < len(part) {
			_, err = io.WriteString(conn, part[i:i+1])
		}
		if err == nil {
			_ = conn.SetReadDeadline(time.Now().Add(250 * time.Millisecond))
			_, err = io.Copy(io.Discard, conn)
			if err == nil {
				return time.Since(began), nil
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = nil
			}
		}
	}
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return time.Since(began), nil
	}
	if err == nil {
		err = errors.New("still open")
	}
	return time.Since(began), err
}

// goodCalls places calls over both transports while the connections stall.
func goodCalls(t *testing.T, uri string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all sync.WaitGroup
	for i := range halfCalls {
		all.Go(func() {
			rep, err := caller.Call(ctx, caller.Options{URI: uri + ";transport=" + rig.Transports[i%2], Talk: 3 * time.Second})
			if err != nil || !rep.OK() || rep.ByeStatus != 200 {
				t.Errorf("good call %d: %+v, %v", i, rep, err)
			}
		})
		time.Sleep(time.Second) // real: calls are begun while the connections wait
	}
	all.Wait()
}
