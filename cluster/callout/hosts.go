package callout

import (
	"sync"
	"time"
)

// Limits of wrong keys.
const (
	maxWrong  = 20          // of one host in wrongTime; then its keys are not looked at
	wrongTime = time.Minute // that a host's wrong keys count
	maxHosts  = 4096        // whose wrong keys are counted; beyond it any one is forgotten
)

// hosts counts wrong keys. The zero value is ready.
type hosts struct {
	mu    sync.Mutex
	tries map[string]tries
}

type tries struct {
	since time.Time
	wrong int
}

// may reports whether a key from the host is looked at.
func (h *hosts) may(host string, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.tries[host]
	return t.wrong < maxWrong || now.Sub(t.since) >= wrongTime
}

// wrong counts a wrong key.
func (h *hosts) wrong(host string, now time.Time) {
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
	t.wrong++
	h.tries[host] = t
}
