package edge

import (
	"time"

	"patchbay/config"
)

// A watch is how long a stream peer may take. It has first_message_timeout for
// each whole message, from its first byte on, however it drips; the very first
// counts from the start of the connection. Between messages it may be silent
// for idle_timeout.
type watch struct {
	message, idle time.Duration

	due     time.Time
	waiting bool // for the rest of a message, or the first one: due stands
	fresh   bool // no message yet
}

// newWatch starts to wait. A peer that we called owes us nothing.
func newWatch(now time.Time, cfg *config.SIP, dialed bool) watch {
	w := watch{message: cfg.FirstMessage, idle: cfg.IdleTimeout, due: now.Add(cfg.FirstMessage), waiting: !dialed, fresh: !dialed}
	if dialed {
		w.due = now.Add(cfg.IdleTimeout)
	}
	return w
}

// heard takes note of a read. whole says that it brought a message to its end,
// partial that a message has begun and is not whole.
func (w *watch) heard(now time.Time, whole, partial bool) {
	w.fresh = w.fresh && !whole
	switch {
	case w.fresh, partial && w.waiting && !whole:
	case partial:
		w.due, w.waiting = now.Add(w.message), true
	default:
		w.due, w.waiting = now.Add(w.idle), false
	}
}
