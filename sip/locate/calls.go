package locate

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
)

// callTime is how long the hops of one call are looked up: past it they lead
// nowhere.
const callTime = 5 * time.Second

var _ actors.Locator = (*Calls)(nil)

// Calls looks up where INVITEs of ours go. It decides once per call: what was
// found is tried in its order, whatever the name servers say later.
type Calls struct {
	locate func(context.Context, Target) ([]Hop, error)
	log    *slog.Logger
}

// ForCalls returns Calls that ask l. Why a name leads nowhere is logged.
func (l *Locator) ForCalls(log *slog.Logger) *Calls { return &Calls{l.Locate, log} }

// Locate implements [actors.Locator]. Look-ups of one call run beside each
// other; of calls there are no more than a media node takes.
func (c *Calls) Locate(targets []call.Target, found func(all [][]call.Hop)) {
	go func() { found(c.all(targets)) }()
}

func (c *Calls) all(targets []call.Target) [][]call.Hop {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	all := make([][]call.Hop, len(targets))
	var each sync.WaitGroup
	for i, t := range targets {
		each.Go(func() {
			defer func() {
				if v := recover(); v != nil { // it costs this name
					c.log.Error("panic", "where", "locate")
				}
			}()
			var err error
			if all[i], err = c.locate(ctx, t); err != nil {
				c.log.Warn("no address for an outgoing call", "host", t.Host, "err", err)
			}
		})
	}
	each.Wait()
	return all
}
