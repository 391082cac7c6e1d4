package connect_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/media"
	"patchbay/media/connect"
	"patchbay/media/peer"
)

var wish = connect.Parking{Tenant: "acme", Agent: "a1"}

// park lets an agent stand by and returns its peer and the session's id.
func park(t *testing.T, d *connect.DialIn, a *agent, w connect.Parking) (*peer.Peer, string) {
	t.Helper()
	p := a.peer()
	offer, err := p.Offer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id, answer, err := d.Park(t.Context(), w, offer)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Accept(answer); err != nil {
		t.Fatal(err)
	}
	return p, id
}

func standing(t *testing.T, d *connect.DialIn, want int) {
	t.Helper()
	eventually(t, "sessions stand by", func() bool { return d.Standby("acme", "a1") == want })
}

func newStandby(t *testing.T) *connect.DialIn {
	d := newDialIn(t)
	t.Cleanup(d.Close)
	return d
}

func TestACallGetsASessionThatStandsByAtOnce(t *testing.T) {
	t.Parallel()
	d, a := newStandby(t), newAgent(t)
	park(t, d, a, wish)
	standing(t, d, 1)
	ctx, over := context.WithCancel(t.Context())
	over() // it has no time to wait for anything
	chosen := 0
	leg, err := d.Join(ctx, request(endpoint.AgentTransport{}), func(string) { chosen++ })
	if err != nil || chosen != 1 {
		t.Fatalf("chosen %d times: %v", chosen, err)
	}
	defer leg.Close(call.CauseNormal)
	a.heard(t, leg)
	standing(t, d, 0)
	if leg.Codec().Name != "PCMU" {
		t.Errorf("codec %s", leg.Codec().Name)
	}
}

func TestACallThatWaitsGetsTheSessionThatComes(t *testing.T) {
	t.Parallel()
	d, a := newStandby(t), newAgent(t)
	_, out := wait(t, d, within(t, patience), request(endpoint.AgentTransport{}))
	park(t, d, a, wish)
	j := <-out
	if j.err != nil {
		t.Fatal(j.err)
	}
	defer j.leg.Close(call.CauseNormal)
	a.heard(t, j.leg)
}

func TestASessionThatConnectsAsACallComesIsNotPassedBy(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	var come atomic.Pointer[func()] // once the call has begun to look for its agent
	d := connect.NewDialIn(newStack(t), func() time.Time {
		if f := come.Swap(nil); f != nil {
			(*f)()
		}
		return time.Now()
	})
	t.Cleanup(d.Close)
	arrive := func() {
		park(t, d, a, wish)
		standing(t, d, 1)
	}
	come.Store(&arrive)
	leg, err := d.Join(within(t, patience), request(endpoint.AgentTransport{}), ignore)
	if err != nil {
		t.Fatalf("the call waits beside a session that stands by: %v", err)
	}
	defer leg.Close(call.CauseNormal)
	a.heard(t, leg)
}

func TestASessionServesOnlyItsAgentAndItsCodec(t *testing.T) {
	t.Parallel()
	d, a := newStandby(t), newAgent(t) // the agent has PCMU alone
	park(t, d, a, wish)
	standing(t, d, 1)
	for name, change := range map[string]func(*media.JoinRequest){
		"another tenant": func(r *media.JoinRequest) { r.Tenant = "other" },
		"another agent":  func(r *media.JoinRequest) { r.Agent.ID = "a2" },
		"another codec":  func(r *media.JoinRequest) { r.Codecs = []call.Codec{pcma} },
	} {
		req := request(endpoint.AgentTransport{})
		change(&req)
		if _, err := d.Join(within(t, 20*time.Millisecond), req, ignore); !errors.Is(err, media.ErrNoAgent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	standing(t, d, 1)
	p := a.peer()
	offer, err := p.Offer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Park(t.Context(), connect.Parking{Tenant: "acme", Agent: "a1", Codecs: []string{"opus"}}, offer); !errors.Is(err, media.ErrNoCodec) {
		t.Errorf("parked without a common codec: %v", err)
	}
}

func TestASessionThatIsOverStandsByNoMore(t *testing.T) {
	t.Parallel()
	d, a := newStandby(t), newAgent(t)
	p, _ := park(t, d, a, wish)
	_, id := park(t, d, a, wish)
	standing(t, d, 2)
	p.Close(call.CauseNormal) // the agent leaves
	standing(t, d, 1)
	for _, c := range []struct{ tenant, agent, id string }{{"other", "a1", id}, {"acme", "a2", id}, {"acme", "a1", "guess"}} {
		if err := d.Unpark(c.tenant, c.agent, c.id); !errors.Is(err, endpoint.ErrNotFound) {
			t.Errorf("%v: %v", c, err)
		}
	}
	if err := d.Unpark("acme", "a1", id); err != nil {
		t.Error(err)
	}
	standing(t, d, 0)
	if err := d.Unpark("acme", "a1", id); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
}

func TestPlacesForSessionsAreBounded(t *testing.T) {
	t.Parallel()
	d, a := newStandby(t), newAgent(t)
	for range connect.MaxStandbyPerAgent { // connected: else each gives its place back after a while
		park(t, d, a, wish)
	}
	standing(t, d, connect.MaxStandbyPerAgent)
	p := a.peer()
	offer, err := p.Offer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Park(t.Context(), wish, offer); !errors.Is(err, media.ErrAgentBusy) {
		t.Errorf("got %v, want %v", err, media.ErrAgentBusy)
	}
	if _, _, err := d.Park(t.Context(), connect.Parking{Tenant: "acme", Agent: "a1"}, "no SDP"); err == nil {
		t.Error("parked without an offer")
	}
	d.Close()
	if _, _, err := d.Park(t.Context(), connect.Parking{Tenant: "acme", Agent: "a2"}, offer); !errors.Is(err, media.ErrAgentBusy) {
		t.Errorf("after Close: %v", err)
	}
}

func TestSessionsMayComeWhileTheNodeGoesDown(t *testing.T) {
	t.Parallel()
	a, stack := newAgent(t), newStack(t)
	offer, err := a.peer().Offer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		d := connect.NewDialIn(stack, time.Now)
		if _, _, err := d.Park(t.Context(), wish, offer); err != nil {
			t.Fatal(err)
		}
		late := make(chan struct{})
		go func() {
			defer close(late)
			_, _, _ = d.Park(t.Context(), wish, offer) // in time or not
		}()
		d.Close()
		<-late
		if _, _, err := d.Park(t.Context(), wish, offer); !errors.Is(err, media.ErrAgentBusy) {
			t.Fatalf("after Close: %v", err)
		}
	}
}
