package cluster

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors"
	"patchbay/actors/endpoint"
	"patchbay/cluster/envelope"
	"patchbay/cluster/subject"
)

// workingEvery is how often a decider shows that it works on a question.
const workingEvery = 400 * time.Millisecond

// A Counsel says who answers a call that waits for its endpoint's owner, and
// explains decisions; *actors.Endpoints is one. Both answer by reply, once,
// from any goroutine, and do not block.
type Counsel interface {
	Consult(q actors.Question, reply func(actors.Ruling))
	Explain(tenant string, inv endpoint.Invite, reply func(actors.Explanation))
}

// NewRulingDoor returns where media nodes and control reach an actor node. It
// gives questions to counsel and sends its rulings back, and signs of progress
// until then; and it explains decisions.
func NewRulingDoor(c *Conn, counsel Counsel, obs DoorObserver) *PartitionDoor {
	return newPartitionDoor(c.Control(), obs,
		line{owner: subject.Ruling, any: subject.RulingAny, take: func(m *nats.Msg) { rule(c.Control(), m, counsel, obs) }},
		line{owner: subject.Explain, any: subject.ExplainAny, take: func(m *nats.Msg) { explain(m, counsel, obs) }})
}

func rule(nc *nats.Conn, m *nats.Msg, counsel Counsel, obs DoorObserver) {
	q, err := envelope.DecodeQuestion(m.Data)
	if err != nil {
		obs.malformed(m.Subject, err)
		return
	}
	stop := working(m, obs)
	counsel.Consult(q, func(r actors.Ruling) {
		stop()
		respond(m, obs, func() ([]byte, error) { return encodeRuling(r, nc.MaxPayload()) })
	})
}

// encodeRuling writes a ruling that fits into one message. One that does not is
// made of what the owner's webhook sent: its fault, and not our silence.
func encodeRuling(r actors.Ruling, limit int64) ([]byte, error) {
	b, err := envelope.EncodeRuling(r)
	if err != nil || int64(len(b)) <= limit {
		return b, err
	}
	return envelope.EncodeRuling(actors.Ruling{Status: 502, Reason: endpoint.ReasonWebhookReply})
}

// maxWorking is the longest a decider says that it works on one question.
const maxWorking = time.Minute

// working shows progress at once and from time to time until it is stopped.
func working(m *nats.Msg, obs DoorObserver) (stop func()) {
	var mu sync.Mutex
	var again *time.Timer
	stopped, until := false, time.Now().Add(maxWorking)
	var show func()
	show = func() {
		mu.Lock()
		defer mu.Unlock()
		if stopped || time.Now().After(until) {
			return
		}
		respond(m, obs, envelope.EncodeWorking)
		again = time.AfterFunc(workingEvery, show)
	}
	show()
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		if again != nil {
			again.Stop()
		}
	}
}

func explain(m *nats.Msg, counsel Counsel, obs DoorObserver) {
	tenant, inv, err := envelope.DecodeExplain(m.Data)
	if err != nil {
		obs.malformed(m.Subject, err)
		return
	}
	counsel.Explain(tenant, inv, func(x actors.Explanation) {
		respond(m, obs, func() ([]byte, error) { return envelope.EncodeExplanation(x) })
	})
}
