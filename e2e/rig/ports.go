package rig

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Ports of tests lie below those that the system hands out (32768 and up) and
// below a node's defaults. Each node has a block of its own, held by a lock
// file, so that tests of several processes do not meet either.
const (
	firstPort  = 10000
	lastPort   = 19999
	blockPorts = 400
	blocks     = (lastPort - firstPort + 1) / blockPorts
)

// A block is a range of ports that no other test uses.
type block struct {
	first, last int
	handed      int          // ports at the front that are handed out one by one
	next        atomic.Int32 // of the ports handed out from the front
}

// claimLimit is the longest wait for a block, which is one for other tests to
// end.
const claimLimit = 4 * time.Minute

// claim takes n adjoining blocks until the test ends.
func claim(t testing.TB, n int) *block {
	t.Helper()
	var taken *block
	WaitFor(t, claimLimit, fmt.Sprintf("%d blocks of ports free from %d to %d", n, firstPort, lastPort), func() bool {
		for first := 0; first+n <= blocks; first++ {
			locks := lockAll(first, n)
			if locks != nil && !free(firstPort+first*blockPorts) {
				closeAll(locks)
				locks = nil
			}
			if locks != nil {
				t.Cleanup(func() { closeAll(locks) })
				taken = &block{first: firstPort + first*blockPorts, last: firstPort + (first+n)*blockPorts - 1, handed: handed}
				return true
			}
		}
		return false
	})
	return taken
}

// free reports that nobody listens at the first ports of a block, who knows of
// no locks.
func free(from int) bool {
	for port := from; port < from+handed/2; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}

// Bound reports that a process of this machine has a port, over "udp" or "tcp".
func Bound(transport string, port int) bool {
	sockets, err := os.ReadFile("/proc/net/" + transport)
	return err == nil && bytes.Contains(sockets, fmt.Appendf(nil, ":%04X ", port))
}

// lockAll locks n blocks from the first on, or none.
func lockAll(first, n int) []*os.File {
	var locks []*os.File
	for i := first; i < first+n; i++ {
		f, err := os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprintf("patchbay-e2e-ports-%d.lock", i)), os.O_CREATE|os.O_RDWR, 0o666)
		if err == nil {
			if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
				locks = append(locks, f)
				continue
			}
			_ = f.Close()
		}
		closeAll(locks)
		return nil
	}
	return locks
}

func closeAll(locks []*os.File) {
	for _, f := range locks {
		_ = f.Close()
	}
}

// handed is how many ports of a block are handed out one by one: the node's
// listeners, and those of the clients around it.
const handed = 100

// take hands out n ports in a row, the first of them even.
func (b *block) take(t testing.TB, n int) int {
	t.Helper()
	n += n % 2
	end := int(b.next.Add(int32(n)))
	if end > b.handed {
		t.Fatalf("a test's block has no more than %d ports for clients", b.handed)
	}
	return b.first + end - n
}

// media returns what is left for RTP and ICE.
func (b *block) media() (rtp, ice string) { return b.share(0, 1) }

// share is the part of it that is node i's of n.
func (b *block) share(i, n int) (rtp, ice string) {
	each := (b.last + 1 - b.first - b.handed) / n &^ 1
	from := b.first + b.handed + i*each
	middle := (from + each*2/3) &^ 1
	return fmt.Sprintf("%d-%d", from, middle-1), fmt.Sprintf("%d-%d", middle, from+each-1)
}
