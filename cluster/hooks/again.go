package hooks

import (
	"encoding/json"

	"patchbay/internal/bodies"
)

// eventAgain is the type of the event by which an owner has an event sent again.
const eventAgain = "webhook.redelivery"

// repeated is an event that is sent again to one webhook.
func (s *shard) repeated(ev *bodies.Event) []*found {
	var line struct {
		Data struct {
			Event json.RawMessage `json:"event"`
		} `json:"data"`
	}
	if json.Unmarshal(ev.Raw, &line) != nil {
		return nil
	}
	before, err := bodies.Parse(line.Data.Event)
	if err != nil {
		return nil
	}
	before.At = ev.At // it is as new as the wish to have it
	return s.one(&before, named(ev.Data, "webhook"), before.Raw)
}

// one is a delivery to a single webhook, whatever has ended of it before.
func (s *shard) one(ev *bodies.Event, target string, raw []byte) []*found {
	if target == "" {
		return nil
	}
	f := s.found(ev, target, raw)
	f.expect = anyVersion
	return []*found{f}
}

// anyVersion stands for the version of whatever has ended before.
const anyVersion = ^uint64(0)
