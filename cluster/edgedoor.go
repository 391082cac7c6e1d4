package cluster

import (
	"bytes"
	"fmt"

	"github.com/nats-io/nats.go"

	"patchbay/actors/call"
	"patchbay/cluster/envelope"
	"patchbay/cluster/subject"
)

// A DoorObserver hears what a door could not deliver. Nil hooks are skipped.
type DoorObserver struct {
	Malformed func(subject string, err error) // a message that could not be read
	Panic     func(any)
}

func (o DoorObserver) malformed(subject string, err error) {
	if o.Malformed != nil {
		o.Malformed(subject, err)
	}
}

// An EdgeDoor is where the cluster reaches an edge: messages for its own flows
// by name, and messages for an address by transport, shared with other edges.
type EdgeDoor struct{ subs subscriptions }

// OpenEdgeDoor gives every message for the edge to send, one at a time and in
// order of arrival; send must not block for long. Where the sender wants to
// know what became of a request, told is not nil, and is owed one call.
func OpenEdgeDoor(c *Conn, edge string, transports []call.Transport, send func(tx call.Transmission, told func(sent bool)), obs DoorObserver) (*EdgeDoor, error) {
	own := subject.Send(edge)
	take := func(m *nats.Msg) {
		defer contain(obs.Panic)
		tx, err := envelope.DecodeSend(m.Data)
		if err != nil {
			obs.malformed(m.Subject, err)
			return
		}
		response := bytes.HasPrefix(tx.Raw, []byte("SIP/2.0 "))
		if m.Reply == "" || response && m.Subject == own { // the Reply of such a response is for NATS
			send(tx, nil)
			return
		}
		send(tx, func(sent bool) {
			result := envelope.Delivered
			if !sent {
				result = envelope.NotSent
			}
			respond(m, obs, func() ([]byte, error) { return envelope.EncodeDelivery(result) })
		})
	}
	d := &EdgeDoor{}
	err := d.subs.add(c.Hot(), own, "", maxPendingPackets, take)
	for _, t := range transports {
		if err == nil {
			err = d.subs.add(c.Hot(), subject.SendAny(t), subject.Edges, maxPendingPackets, take)
		}
	}
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("open edge door: %w", err)
	}
	return d, nil
}

// Close stops taking messages. It may be called twice.
func (d *EdgeDoor) Close() { d.subs.close() }

// subscriptions are a door's, closed together.
type subscriptions []*nats.Subscription

func (s *subscriptions) add(nc *nats.Conn, subj, queue string, limit int, take nats.MsgHandler) error {
	sub, err := nc.QueueSubscribe(subj, queue, take)
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", subj, err)
	}
	*s = append(*s, sub)
	return sub.SetPendingLimits(limit, maxPendingBytes)
}

func (s *subscriptions) close() {
	for _, sub := range *s {
		_ = sub.Unsubscribe() // fails only where it has ended already
	}
}
