package cluster

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors"
	"patchbay/cluster/envelope"
	"patchbay/cluster/subject"
)

// Leads take INVITEs to numbers to the owners of the endpoints that the numbers
// lead to; it implements actors.Elsewhere for an actor node.
type Leads struct {
	asker *asker
	wait  time.Duration
}

// NewLeads returns Leads that wait for an owner at most wait, and keep at most
// limit INVITEs waiting.
func NewLeads(c *Conn, wait time.Duration, limit int, panics func(any)) (*Leads, error) {
	a, err := newAsker(c.Hot(), limit, panics)
	if err != nil {
		return nil, fmt.Errorf("start leads: %w", err)
	}
	return &Leads{asker: a, wait: wait}, nil
}

// Close ends all INVITEs that wait, as if no owner had answered.
func (l *Leads) Close() { l.asker.close() }

// Follow implements actors.Elsewhere. The error says that no owner has
// answered: the node decides itself then.
func (l *Leads) Follow(led actors.Led, done func(actors.Outcome, error)) {
	data, err := envelope.EncodeLed(led)
	if err != nil {
		done(actors.Outcome{}, err)
		return
	}
	l.asker.ask(subject.Led(led.Partition), data, l.wait, func(rep reply) {
		if rep.err != nil {
			done(actors.Outcome{}, fmt.Errorf("ask the owner of partition %d: %w", led.Partition, rep.err))
			return
		}
		done(envelope.DecodeOutcome(rep.data))
	})
}

// A Follower decides on INVITEs to numbers that another node has looked up;
// *actors.Endpoints is one.
type Follower interface {
	Led(led actors.Led, reply func(Outcome))
}

// ledLine is the line of a door where a follower takes them, from other actor
// nodes alone: who names a Key need not know the slug.
func ledLine(follow Follower, obs DoorObserver) line {
	return line{owner: subject.Led, take: func(m *nats.Msg) {
		led, err := envelope.DecodeLed(m.Data)
		if err != nil {
			obs.malformed(m.Subject, err)
			return
		}
		follow.Led(led, func(out Outcome) {
			respond(m, obs, func() ([]byte, error) { return envelope.EncodeOutcome(out) })
		})
	}}
}
