package callout

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
	"time"
)

// Limits of wrong keys.
const (
	maxWrong  = 20          // different ones of one host in wrongTime; then its keys are not looked at
	wrongTime = time.Minute // that a host's wrong keys count
	maxHosts  = 4096        // whose wrong keys are counted; beyond it any one is forgotten
)

// hosts counts wrong keys. The same one again counts no more: it is no guess, but
// a program that was not told of its key's end, and that others behind its
// address must not suffer from. The zero value is ready.
type hosts struct {
	mu    sync.Mutex
	tries map[string]tries
}

type tries struct {
	since time.Time
	wrong []uint64 // at most maxWrong
}

// guess stands for a name and a key that were shown together.
func guess(user, secret string) uint64 {
	sum := sha256.Sum256([]byte(user + "\n" + secret))
	return binary.BigEndian.Uint64(sum[:])
}

// may reports whether a key from the host is looked at.
func (h *hosts) may(host string, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.tries[host]
	return len(t.wrong) < maxWrong || now.Sub(t.since) >= wrongTime
}

// wrong counts a wrong key.
func (h *hosts) wrong(host string, what uint64, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tries == nil {
		h.tries = map[string]tries{}
	}
	t, known := h.tries[host]
	if now.Sub(t.since) >= wrongTime {
		t = tries{since: now}
	}
	if !known && len(h.tries) >= maxHosts {
		for any := range h.tries { // in no order
			delete(h.tries, any)
			break
		}
	}
	if len(t.wrong) < maxWrong && !slices.Contains(t.wrong, what) {
		t.wrong = append(t.wrong, what)
	}
	h.tries[host] = t
}
