package e2e_test

import (
	"testing"
	"time"

	"patchbay/control"
	"patchbay/e2e/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

// settle is the longest wait for what a node does by itself after a call: end
// it, free its ports, report it.
const settle = 30 * time.Second

// A bed is a node with an operator and an echo agent behind the NATS
// connector.
type bed struct {
	*rig.Node
	op    *rig.Operator
	echo  *rig.Echo
	media int // port that calls written by hand name in their SDP; nobody listens
}

func newBed(t *testing.T, settings rig.Settings) *bed {
	t.Helper()
	node := rig.Start(t, settings)
	op := node.Operator(t)
	return &bed{node, op, op.Echo(t), node.Port(t, 2)}
}

// endpoint makes an endpoint that the echo agent answers.
func (b *bed) endpoint(t *testing.T, spec rig.Fields) control.EndpointView {
	t.Helper()
	return b.op.Endpoint(t, b.echo.Agent, spec)
}

// unanswered makes an endpoint whose agent has to dial in, and nobody does.
func (b *bed) unanswered(t *testing.T, spec rig.Fields) control.EndpointView {
	t.Helper()
	return b.op.Endpoint(t, b.op.Agent(t, "dialin", nil).ID, spec)
}

// both runs a test over UDP and over TCP at once, and returns when both have
// ended.
func both(t *testing.T, f func(t *testing.T, transport string)) {
	t.Helper()
	rig.Together(t, len(rig.Transports), rig.Transports, f)
}

// A talk is an answered call of a carrier that is written by hand.
type talk struct {
	*rig.Peer
	invite rig.Request
	answer rig.Response
}

// call places a call that must be answered.
func (b *bed) call(t *testing.T, transport, slug string) *talk {
	t.Helper()
	c := &talk{Peer: b.Dial(t, transport), invite: b.invite(slug)}
	c.answer = c.Final(c.invite)
	if c.answer.Status() != 200 {
		t.Fatalf("over %s an INVITE got %q, want 200", transport, c.answer.Line())
	}
	c.Send(c.invite.Within(c.answer, "ACK", 1))
	return c
}

// end acknowledges a call and ends it.
func (c *talk) end(t *testing.T) {
	t.Helper()
	c.Send(c.invite.Within(c.answer, "ACK", 1))
	c.bye(t)
}

// invite is an INVITE to a slug, not sent yet.
func (b *bed) invite(slug string) rig.Request {
	return rig.Request{Method: "INVITE", URI: b.URI(slug), Body: rig.Offer(b.media)}.Fresh()
}

// bye ends the call.
func (c *talk) bye(t *testing.T) {
	t.Helper()
	if got := c.Final(c.invite.Within(c.answer, "BYE", 9)); got.Status() != 200 {
		t.Errorf("BYE got %q, want 200", got.Line())
	}
}

func is(method string) func(rig.Response) bool {
	return func(r rig.Response) bool { return r.Method() == method }
}
