package cluster

import (
	"errors"
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

// NewEndpointDoor returns where edges reach an actor node. It gives INVITEs and
// CANCELs to decide and sends its outcomes back. A message that cannot be read
// is not answered: the edge asks another. Where decide is a [Follower], other
// actor nodes reach it too.
func NewEndpointDoor(c *Conn, decide Decider, obs DoorObserver) *PartitionDoor {
	take := func(m *nats.Msg) {
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
	lines := []line{{owner: subject.Invite, any: subject.InviteAny, take: take}}
	if follow, ok := decide.(Follower); ok {
		lines = append(lines, ledLine(follow, obs))
	}
	return newPartitionDoor(c.Hot(), obs, lines...)
}

// errNoInbox is of questions whose answer would go to what is no inbox.
var errNoInbox = errors.New("the reply is no inbox")

// respond answers m, at an inbox only. A reply that cannot be sent is lost as on
// any network: whoever asked has a time limit.
func respond(m *nats.Msg, obs DoorObserver, encode func() ([]byte, error)) {
	if !subject.IsInbox(m.Reply) {
		obs.malformed(m.Subject, errNoInbox)
		return
	}
	b, err := encode()
	if err == nil {
		err = m.Respond(b)
	}
	if err != nil {
		obs.malformed(m.Subject, fmt.Errorf("answer: %w", err))
	}
}
