package actors

import (
	"cmp"
	"context"
	"slices"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// A CallStatus is how a live call stands at one moment.
type CallStatus struct {
	V          int            `json:"v"`
	ID         call.ID        `json:"call_id"`
	Tenant     string         `json:"tenant"`
	Endpoint   endpoint.Key   `json:"endpoint"`
	Agent      string         `json:"agent"`
	Worker     string         `json:"worker,omitempty"`
	Node       string         `json:"node"`
	State      call.State     `json:"state"`
	From       call.Party     `json:"from"`
	To         call.Party     `json:"to"`
	Transport  call.Transport `json:"transport"`
	Source     string         `json:"source"` // ip:port of the INVITE's packet
	SIPCallID  string         `json:"sip_call_id"`
	DecisionID string         `json:"decision_id,omitempty"`
	Since      time.Time      `json:"since"`
	Answered   time.Time      `json:"answered,omitzero"`
	Codec      string         `json:"codec,omitempty"`
	Quality    call.Quality   `json:"quality"`
	Direction  string         `json:"direction,omitempty"` // Outbound; "": a carrier called
	Trunk      string         `json:"trunk,omitempty"`     // id
	Metadata   call.Document  `json:"metadata,omitempty"`  // that its owner gave it
	OnHold     bool           `json:"on_hold,omitempty"`   // the carrier takes no audio
	// Transfer is the last that was asked of it; nil: none was.
	Transfer *call.Transferred `json:"transfer,omitempty"`
	Moved    *call.Moved       `json:"moved,omitempty"`  // the last time that another dialog took it over; nil: none did
	Dialog   *call.DialogID    `json:"dialog,omitempty"` // of an established call: for a transfer to it
}

// Get returns how a call stands. ErrNotMine: it is not live here; ErrBusy: its
// loop is full; or the error of ctx.
func (c *Calls) Get(ctx context.Context, id call.ID) (CallStatus, error) {
	a := c.index.get(id)
	if a == nil {
		return CallStatus{}, ErrNotMine
	}
	all, err := c.ask(ctx, []*actor{a})
	if err != nil {
		return CallStatus{}, err
	}
	if len(all) == 0 {
		return CallStatus{}, ErrNotMine
	}
	return all[0], nil
}

// List returns how all live calls stand, the longest first. Errors as for Get.
func (c *Calls) List(ctx context.Context) ([]CallStatus, error) {
	all, err := c.ask(ctx, c.index.all())
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b CallStatus) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// ask lets each loop look at its own calls: one message a loop, however many
// calls it has.
func (c *Calls) ask(ctx context.Context, actors []*actor) ([]CallStatus, error) {
	byLoop := make(map[*Loop][]*actor)
	for _, a := range actors {
		byLoop[a.loop] = append(byLoop[a.loop], a)
	}
	answers := make(chan []CallStatus, len(byLoop))
	for loop, mine := range byLoop {
		err := loop.Tell(func(time.Time) {
			var found []CallStatus
			defer func() { answers <- found }() // also if one of them panics
			for _, a := range mine {
				if a.begun && !a.over {
					found = append(found, a.status())
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	all := make([]CallStatus, 0, len(actors))
	for range byLoop {
		select {
		case found := <-answers:
			all = append(all, found...)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return all, nil
}

// status runs on the actor's loop.
func (a *actor) status() CallStatus {
	rec := a.machine.Call.Record()
	s := CallStatus{V: 1, ID: a.id, Tenant: rec.Tenant, Endpoint: a.job.Endpoint, Agent: rec.Agent, Worker: rec.Worker,
		Node: rec.Node, State: a.machine.Call.State(), From: rec.From, To: rec.To, Transport: rec.Transport,
		Source: rec.Source, SIPCallID: rec.SIPCallID, DecisionID: rec.DecisionID,
		Since: rec.Stages.Invited, Answered: rec.Stages.Answered, Codec: rec.Codec, Quality: a.quality, Direction: rec.Direction, Trunk: rec.Trunk,
		Metadata: call.Document(a.ruling.Metadata), OnHold: a.machine.Call.OnHold(), Transfer: rec.Transfer, Moved: rec.Moved, Dialog: a.dialogID()}
	if a.bridge != nil {
		s.Quality = a.bridge.Quality()
	}
	return s
}
