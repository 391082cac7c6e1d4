package txn_test

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"

	"patchbay/sip/txn"
)

// The transactions of sipgo are the second reading of RFC 3261 17: the same
// script of messages and times is played to both, and what leaves must be the
// same, to the millisecond. Where sipgo is known to do otherwise the script does
// not go, and the reason stands there.

// A step of a script: at that time since the beginning, a message comes from the
// peer, or from the user of the transaction.
type step struct {
	at     time.Duration
	status int    // of a response
	method string // of a request
}

// A line of what leaves.
func line(at time.Duration, what any) string { return fmt.Sprintf("%v %v", at, what) }

// A wire is sipgo's connection: it writes down what leaves.
type wire struct {
	mu    sync.Mutex
	began time.Time
	sent  []string
	over  time.Duration // when the transaction ended; 0: it has not
}

func (w *wire) note(what any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, line(time.Since(w.began), what))
}

// WriteMsg implements sipgo's Connection.
func (w *wire) WriteMsg(m sipmsg.Message) error {
	switch m := m.(type) {
	case *sipmsg.Request:
		w.note(m.Method)
	case *sipmsg.Response:
		w.note(m.StatusCode)
	}
	return nil
}

// LocalAddr implements sipgo's Connection, as do the others.
func (w *wire) LocalAddr() net.Addr    { return &net.UDPAddr{} }
func (w *wire) Ref(int) int            { return 1 }
func (w *wire) TryClose() (int, error) { return 1, nil }
func (w *wire) Close() error           { return nil }
func (w *wire) ended(string, error)    { w.mu.Lock(); w.over = time.Since(w.began); w.mu.Unlock() }

var discard = slog.New(slog.NewTextHandler(io.Discard, nil))

func original(t testing.TB, method, transport string) *sipmsg.Request {
	t.Helper()
	m, err := sipmsg.NewParser().ParseSIP([]byte(strings.ReplaceAll(method+" sip:a@192.0.2.1 SIP/2.0\n"+
		"Via: SIP/2.0/"+transport+" 192.0.2.2;branch=z9hG4bK1\nFrom: <sip:b@192.0.2.2>;tag=f\nTo: <sip:a@192.0.2.1>\n"+
		"Call-ID: c\nCSeq: 1 "+method+"\nMax-Forwards: 70\nContent-Length: 0\n\n", "\n", "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return m.(*sipmsg.Request)
}

// perform waits for the time of each step, then for the end of everything.
func perform(script []step, do func(step)) {
	at := time.Duration(0)
	for _, s := range script {
		time.Sleep(s.at - at)
		at = s.at
		do(s)
		synctest.Wait()
	}
	time.Sleep(5 * time.Minute)
	synctest.Wait()
}

// theirClient plays a script to sipgo's client transaction.
func theirClient(t *testing.T, method, transport string, script []step) *wire {
	w := &wire{}
	synctest.Test(t, func(t *testing.T) {
		w.began = time.Now()
		req := original(t, method, transport)
		tx := sipmsg.NewClientTx("k", req, w, discard)
		tx.OnTerminate(w.ended)
		if err := tx.Init(); err != nil {
			t.Fatal(err)
		}
		tx.OnRetransmission(func(r *sipmsg.Response) { w.note(fmt.Sprint("heard ", r.StatusCode)) })
		go func() {
			for {
				select {
				case r := <-tx.Responses():
					w.note(fmt.Sprint("heard ", r.StatusCode))
				case <-tx.Done():
					return
				}
			}
		}()
		perform(script, func(s step) { tx.Receive(sipmsg.NewResponseFromRequest(req, s.status, "x", nil)) })
		tx.Terminate()
	})
	return w
}

// theirServer plays a script to sipgo's server transaction.
func theirServer(t *testing.T, method, transport string, script []step) *wire {
	w := &wire{}
	synctest.Test(t, func(t *testing.T) {
		w.began = time.Now()
		req := original(t, method, transport)
		tx := sipmsg.NewServerTx("k", req, w, discard)
		tx.OnTerminate(w.ended)
		if err := tx.Init(); err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				select {
				case <-tx.Acks():
				case <-tx.Done():
					return
				}
			}
		}()
		perform(script, func(s step) {
			if s.method != "" {
				_ = tx.Receive(original(t, s.method, transport))
				return
			}
			_ = tx.Respond(sipmsg.NewResponseFromRequest(req, s.status, "x", nil))
		})
		tx.Terminate()
	})
	return w
}

// ours plays a script to a state machine in virtual time: wake at each deadline,
// take at each step.
func ours(script []step, deadline func() time.Time, wake func(time.Time), take func(time.Time, step)) {
	began := time.Time{}.Add(time.Hour)
	for _, s := range append(slices.Clone(script), step{at: 6 * time.Minute}) {
		now := began.Add(s.at)
		for d := deadline(); !d.IsZero() && d.Before(now); d = deadline() {
			wake(d)
		}
		if s.status != 0 || s.method != "" {
			take(now, s)
		}
	}
}

var rfc = txn.Timers{T1: 500 * time.Millisecond, T2: 4 * time.Second, T4: 5 * time.Second}

// since is the time of virtual time zero.
func since(now time.Time) time.Duration { return now.Sub(time.Time{}.Add(time.Hour)) }

func ourInviteClient(reliable bool, script []step) (sent []string) {
	start := time.Time{}.Add(time.Hour)
	tx := txn.StartInviteClient(start, rfc, reliable, []byte("INVITE"))
	sent = append(sent, line(0, "INVITE"))
	ours(script, tx.Deadline, func(now time.Time) {
		if raw, _ := tx.Wake(now); raw != nil {
			sent = append(sent, line(since(now), string(raw)))
		}
	}, func(now time.Time, s step) {
		heard := tx.Response(now, s.status)
		if heard == txn.HeardRefusal {
			tx.Acknowledged([]byte("ACK"))
			sent = append(sent, line(since(now), string(tx.Ack())))
		}
		if heard != txn.HeardNothing {
			sent = append(sent, line(since(now), fmt.Sprint("heard ", s.status)))
		}
	})
	return sent
}

func ourClient(reliable bool, script []step) (sent []string) {
	start := time.Time{}.Add(time.Hour)
	tx := txn.StartClient(start, rfc, reliable, []byte("INFO"))
	sent = append(sent, line(0, "INFO"))
	ours(script, tx.Deadline, func(now time.Time) {
		if raw, _ := tx.Wake(now); raw != nil {
			sent = append(sent, line(since(now), string(raw)))
		}
	}, func(now time.Time, s step) { tx.Response(now, s.status) })
	return sent
}

func ourInviteServer(reliable bool, script []step) (sent []string) {
	tx := txn.StartInvite(rfc, reliable)
	ours(script, tx.Deadline, func(now time.Time) {
		if raw, _ := tx.Wake(now); raw != nil {
			sent = append(sent, line(since(now), string(raw)))
		}
	}, func(now time.Time, s step) {
		switch {
		case s.method == "ACK":
			tx.Ack(now)
		case s.method != "":
			if raw := tx.Copy(); raw != nil {
				sent = append(sent, line(since(now), string(raw)))
			}
		case tx.Respond(now, s.status, []byte(fmt.Sprint(s.status))):
			sent = append(sent, line(since(now), s.status))
		}
	})
	return sent
}

func ourServer(reliable bool, script []step) (sent []string) {
	var kept txn.Answers
	request := txn.Request{Branch: "z9hG4bK1", Method: "INFO", Seq: 1}
	ours(script, kept.Deadline, kept.Wake, func(now time.Time, s step) {
		if s.method != "" {
			if raw := kept.Find(request); raw != nil {
				sent = append(sent, line(since(now), string(raw)))
			}
			return
		}
		kept.Keep(now, rfc, reliable, request, []byte(fmt.Sprint(s.status)))
		sent = append(sent, line(since(now), s.status))
	})
	return sent
}

// until leaves out what came after a moment; 0: nothing.
func until(sent []string, over time.Duration) []string {
	return slices.DeleteFunc(slices.Clone(sent), func(l string) bool {
		at, _ := time.ParseDuration(strings.Fields(l)[0])
		return over != 0 && at > over
	})
}

// moments are n times up to a limit, in order, never when a timer of RFC 3261
// fires.
func moments(dice *rand.Rand, n int, limit time.Duration) []time.Duration {
	all := make([]time.Duration, n)
	for i := range all {
		all[i] = time.Duration(dice.Int64N(int64(limit/time.Millisecond)/10)*10+3) * time.Millisecond
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// agree plays scripts over both kinds of transport.
func agree(t *testing.T, scripts int, make func(*rand.Rand) []step, theirs func(*testing.T, string, []step) *wire, mine func(bool, []step) []string) {
	t.Helper()
	if testing.Short() {
		scripts /= 10
	}
	for i := range scripts {
		script := make(rand.New(rand.NewPCG(7, uint64(i))))
		for _, transport := range []string{"UDP", "TCP"} {
			w := theirs(t, transport, script)
			want, got := until(w.sent, w.over), until(mine(transport == "TCP", script), w.over)
			if !slices.Equal(got, want) {
				t.Errorf("script %d over %s: %v\n  ours:   %s\n  sipgo's: %s", i, transport, script, strings.Join(got, ", "), strings.Join(want, ", "))
				return
			}
		}
	}
}

func TestTheInviteClientAgreesWithAnother(t *testing.T) {
	t.Parallel()
	agree(t, 150, func(dice *rand.Rand) (script []step) {
		finals := []int{200, 302, 404, 486, 503, 603}
		final := 0
		for _, at := range moments(dice, dice.IntN(6), 45*time.Second) {
			s := step{at: at, status: []int{100, 180, 183}[dice.IntN(3)]}
			switch {
			case final == 200: // copies of a 2xx; sipgo waits 4 s with its lock held before it repeats an ACK, so no other has copies here
				s.status = 200
			case final != 0:
				return script
			case dice.IntN(3) == 0:
				final = finals[dice.IntN(len(finals))]
				s.status = final
			}
			script = append(script, s)
		}
		return script
	}, func(t *testing.T, transport string, script []step) *wire {
		return theirClient(t, "INVITE", transport, script)
	}, ourInviteClient)
}

func TestTheClientAgreesWithAnother(t *testing.T) {
	t.Parallel()
	agree(t, 150, func(dice *rand.Rand) (script []step) {
		for _, at := range moments(dice, dice.IntN(6), 40*time.Second) {
			script = append(script, step{at: at, status: []int{100, 100, 100, 200, 404}[dice.IntN(5)]})
		}
		return script
	}, func(t *testing.T, transport string, script []step) *wire {
		w := theirClient(t, "INFO", transport, script)
		w.sent = slices.DeleteFunc(w.sent, func(l string) bool { return strings.Contains(l, "heard") }) // ours tells of the first final response only
		return w
	}, ourClient)
}

// A 2xx is not here: its copies are the core's (RFC 3261 13.3.1.4), which is
// the transaction itself with us and the user with sipgo.
func TestTheInviteServerAgreesWithAnother(t *testing.T) {
	t.Parallel()
	agree(t, 150, func(dice *rand.Rand) (script []step) {
		script = append(script, step{status: 100}) // else sipgo sends one of its own after 200 ms
		final := false
		for _, at := range moments(dice, dice.IntN(9), 60*time.Second) {
			s := step{at: at, method: "INVITE"}
			switch n := dice.IntN(6); {
			case n == 0 && !final:
				s = step{at: at, status: 180}
			case n == 1 && !final:
				s, final = step{at: at, status: []int{302, 404, 486, 603}[dice.IntN(4)]}, true
			case n == 2 && final:
				s = step{at: at, method: "ACK"}
			}
			script = append(script, s)
		}
		return script
	}, func(t *testing.T, transport string, script []step) *wire {
		return theirServer(t, "INVITE", transport, script)
	}, ourInviteServer)
}

func TestTheServerAgreesWithAnother(t *testing.T) {
	t.Parallel()
	agree(t, 100, func(dice *rand.Rand) (script []step) {
		for i, at := range moments(dice, 1+dice.IntN(7), 50*time.Second) {
			s := step{at: at, method: "INFO"}
			if i == 0 {
				s = step{at: at, status: []int{200, 404}[dice.IntN(2)]}
			}
			script = append(script, s)
		}
		return script
	}, func(t *testing.T, transport string, script []step) *wire {
		return theirServer(t, "INFO", transport, script)
	}, ourServer)
}
