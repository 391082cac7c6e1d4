package media

import (
	"time"

	"patchbay/actors/call"
)

// An Observer is told what happens to calls, for metrics. Functions that are
// nil are left out. They do not block and may be called from any goroutine.
type Observer struct {
	Opened   func()                                 // a call wants an agent
	Failed   func(status int, cause call.Cause)     // it got none
	Joined   func(took time.Duration, codec string) // it got one
	Closed   func(cause call.Cause, q call.Quality) // a joined call ended
	Panicked func(where string)                     // a packet or a tick was lost to a fault of ours
}

func (o Observer) opened() {
	if o.Opened != nil {
		o.Opened()
	}
}

func (o Observer) failed(ev call.Event) {
	if o.Failed != nil {
		o.Failed(ev.Status, ev.Cause)
	}
}

func (o Observer) joined(took time.Duration, codec string) {
	if o.Joined != nil {
		o.Joined(took, codec)
	}
}

func (o Observer) closed(cause call.Cause, q call.Quality) {
	if o.Closed != nil {
		o.Closed(cause, q)
	}
}

func (o Observer) panicked(where string) {
	if o.Panicked != nil {
		o.Panicked(where)
	}
}
