package cluster

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/envelope"
	"patchbay/cluster/subject"
)

// A Decider says what becomes of an INVITE or a CANCEL; *actors.Endpoints is
// one. It answers by reply, once, from any goroutine, and does not block.
type Decider interface {
	Invite(inv endpoint.Invite, p call.Packet, reply func(Outcome))
	Cancel(inv endpoint.Invite, p call.Packet, reply func(Outcome))
}

// An EndpointDoor is where edges reach an actor node: as owner of partitions,
// and as any decider.
type EndpointDoor struct{ subs subscriptions }

// OpenEndpointDoor gives INVITEs and CANCELs to decide and sends its outcomes
// back. A message that cannot be read is not answered: the edge asks another.
func OpenEndpointDoor(c *Conn, decide Decider, obs DoorObserver) (*EndpointDoor, error) {
	take := func(m *nats.Msg) {
		defer contain(obs.Panic)
		inv, cancel, p, err := envelope.DecodeInvite(m.Data)
		if err != nil {
			obs.malformed(m.Subject, err)
			return
		}
		reply := func(out Outcome) {
			respond(m, obs, func() ([]byte, error) { return envelope.EncodeOutcome(out) })
		}
		if cancel {
			decide.Cancel(inv, p, reply)
		} else {
			decide.Invite(inv, p, reply)
		}
	}
	d := &EndpointDoor{}
	for _, subj := range []string{subject.InviteOwners, subject.InviteAny} {
		if err := d.subs.add(c.Hot(), subj, subject.Deciders, maxPendingInvites, take); err != nil {
			d.Close()
			return nil, fmt.Errorf("open endpoint door: %w", err)
		}
	}
	return d, nil
}

// Close stops taking INVITEs: edges ask other deciders from now on.
func (d *EndpointDoor) Close() { d.subs.close() }

// respond answers m. A reply that cannot be sent is lost as on any network:
// whoever asked has a time limit.
func respond(m *nats.Msg, obs DoorObserver, encode func() ([]byte, error)) {
	b, err := encode()
	if err == nil {
		err = m.Respond(b)
	}
	if err != nil {
		obs.malformed(m.Subject, fmt.Errorf("answer: %w", err))
	}
}
