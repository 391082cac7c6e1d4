package connect_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/media"
	"patchbay/media/connect"
	"patchbay/media/peer"
)

type joined struct {
	leg media.AgentLeg
	err error
}

// wait starts a call that waits for an agent, and returns once it does.
func wait(t *testing.T, d *connect.DialIn, ctx context.Context, req media.JoinRequest) (connect.WaitingCall, <-chan joined) {
	t.Helper()
	out, chosen := make(chan joined, 1), make(chan struct{})
	go func() {
		leg, err := d.Join(ctx, req, func(string) { close(chosen) })
		out <- joined{leg, err}
	}()
	<-chosen
	for _, w := range d.Waiting(req.Tenant, req.Agent.ID) {
		if w.CallID == req.ID {
			return w, out
		}
	}
	t.Fatal("the call does not wait")
	return connect.WaitingCall{}, nil
}

func newDialIn(t *testing.T) *connect.DialIn { return connect.NewDialIn(newStack(t), time.Now) }

func TestAnAgentDialsInToTheWaitingCall(t *testing.T) {
	t.Parallel()
	d, a := newDialIn(t), newAgent(t)
	w, out := wait(t, d, within(t, patience), request(endpoint.AgentTransport{}))
	if w.From.User != "+4930123" || w.From.Trusted {
		t.Errorf("got caller %+v, want +4930123, untrusted", w.From)
	}
	p := a.peer()
	offer, err := p.Offer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	answer, err := d.Answer(t.Context(), w.CallID, w.Token, offer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Answer(t.Context(), w.CallID, w.Token, offer); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("second use of the token: got %v, want %v", err, endpoint.ErrNotFound)
	}
	if n := len(d.Waiting("acme", "a1")); n != 0 {
		t.Errorf("%d calls are listed though the agent has come", n)
	}
	if err := p.Accept(answer); err != nil {
		t.Fatal(err)
	}
	j := <-out
	if j.err != nil {
		t.Fatal(j.err)
	}
	a.heard(t, j.leg)
	j.leg.Close(call.CauseNormal)
}

func TestOnlyTheTokenOpensTheCall(t *testing.T) {
	t.Parallel()
	d := newDialIn(t)
	ctx, cancel := context.WithCancel(t.Context())
	w, out := wait(t, d, ctx, request(endpoint.AgentTransport{}))
	for name, c := range map[string]struct {
		id    call.ID
		token string
	}{
		"no token": {w.CallID, ""}, "wrong token": {w.CallID, w.Token + "x"}, "other call": {w.CallID + 1, w.Token}, "nothing": {0, ""},
	} {
		if _, err := d.Answer(t.Context(), c.id, c.token, "v=0"); !errors.Is(err, connect.ErrNotWaiting) {
			t.Errorf("%s: got %v, want %v", name, err, connect.ErrNotWaiting)
		}
	}
	cancel()
	if j := <-out; !errors.Is(j.err, media.ErrNoAgent) {
		t.Errorf("got %v, want %v", j.err, media.ErrNoAgent)
	}
	if _, err := d.Answer(t.Context(), w.CallID, w.Token, "v=0"); !errors.Is(err, connect.ErrNotWaiting) {
		t.Errorf("after the call: got %v, want %v", err, connect.ErrNotWaiting)
	}
}

func TestAnUnusableOfferDoesNotSpendTheTokenAFewTimes(t *testing.T) {
	t.Parallel()
	d := newDialIn(t)
	ctx, cancel := context.WithCancel(t.Context())
	w, out := wait(t, d, ctx, request(endpoint.AgentTransport{}))
	head := "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
	for i := range 10 {
		offer, want := head+"m=audio 9 UDP/TLS/RTP/SAVPF 9\r\n", media.ErrNoCodec
		if i%2 == 1 {
			offer, want = "nonsense", media.ErrAgentRefused
		}
		if i >= 8 {
			want = connect.ErrNotWaiting
		}
		if _, err := d.Answer(t.Context(), w.CallID, w.Token, offer); !errors.Is(err, want) {
			t.Errorf("offer %d: got %v, want %v", i+1, err, want)
		}
	}
	cancel()
	<-out
}

func TestCallsAreListedForTheirOwnAgentOnly(t *testing.T) {
	t.Parallel()
	d := newDialIn(t)
	ctx, cancel := context.WithCancel(t.Context())
	var outs []<-chan joined
	for i, agent := range []string{"a1", "a1", "a2"} {
		req := request(endpoint.AgentTransport{NoMetadata: true})
		req.ID, req.Agent.ID = call.ID(i+1), agent
		w, out := wait(t, d, ctx, req)
		outs = append(outs, out)
		if w.From != (call.Party{}) {
			t.Errorf("the caller is shown to an agent that wants no metadata: %+v", w.From)
		}
	}
	for _, c := range []struct {
		tenant, agent string
		want          int
	}{{"acme", "a1", 2}, {"acme", "a2", 1}, {"other", "a1", 0}} {
		if got := len(d.Waiting(c.tenant, c.agent)); got != c.want {
			t.Errorf("%s %s: got %d calls, want %d", c.tenant, c.agent, got, c.want)
		}
	}
	cancel()
	for _, out := range outs {
		<-out
	}
}

func TestANodeBoundsItsWaitingCalls(t *testing.T) {
	t.Parallel()
	d := newDialIn(t)
	ctx, cancel := context.WithCancel(t.Context())
	out := make(chan error, connect.MaxWaiting)
	for i := range connect.MaxWaiting {
		req := request(endpoint.AgentTransport{})
		req.ID = call.ID(i + 1)
		entered := make(chan struct{})
		go func() {
			_, err := d.Join(ctx, req, func(string) { close(entered) })
			out <- err
		}()
		<-entered
	}
	if _, err := d.Join(ctx, request(endpoint.AgentTransport{}), ignore); !errors.Is(err, media.ErrAgentBusy) {
		t.Errorf("got %v, want %v", err, media.ErrAgentBusy)
	}
	cancel()
	for range connect.MaxWaiting {
		<-out
	}
}

func TestAnAgentThatComesTooLateIsSentAway(t *testing.T) {
	t.Parallel()
	d, a := newDialIn(t), newAgent(t)
	ctx, cancel := context.WithCancel(t.Context())
	w, out := wait(t, d, ctx, request(endpoint.AgentTransport{}))
	offer, err := a.peer().Offer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Answer(t.Context(), w.CallID, w.Token, offer); err != nil {
		t.Fatal(err)
	}
	cancel() // the carrier gave up before the agent's ICE was done
	if j := <-out; !errors.Is(j.err, media.ErrNoAgent) {
		t.Errorf("got %v, want %v", j.err, media.ErrNoAgent)
	}
}

var _ media.AgentLeg = (*peer.Peer)(nil)
