package e2e_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors/call"
	"patchbay/cluster/subject"
	"patchbay/control"
	"patchbay/e2e/rig"
	"patchbay/internal/caller"
)

// TestACallOutlivesItsAgentWhereverItCrashes lets the first agent of a call die
// with the offer in its hands, between its answer and ICE, and in the call. The
// next agent has the call each time, the carrier one answer, and the call one
// record.
func TestACallOutlivesItsAgentWhereverItCrashes(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	s := &stage{b.Node, b.op}
	points := map[string]func(t *testing.T, agent string) (crash func()){
		"with the offer": func(t *testing.T, agent string) func() {
			return s.fails(t, agent, func(*nats.Msg) {})
		},
		"between its answer and ICE": func(t *testing.T, agent string) func() {
			w := s.worker(t, []string{"PCMU"}, nil, nil) // of another agent: it lends its library
			return s.fails(t, agent, func(m *nats.Msg) {
				c := &session{worker: w, ended: make(chan struct{})}
				if err := json.Unmarshal(m.Data, &c.told); err != nil {
					t.Error(err)
					return
				}
				sdp, err := c.answer()
				if err != nil || c.pc.Close() != nil {
					t.Errorf("answer: %v", err)
				}
				reply, _ := json.Marshal(map[string]string{"type": "answer", "sdp": sdp, "worker_id": "w1"})
				_ = m.Respond(reply)
			})
		},
		"in the call": func(t *testing.T, agent string) func() { return b.op.Worker(t, agent, "w1").Crash },
	}
	rig.Together(t, 3, []string{"with the offer", "between its answer and ICE", "in the call"}, func(t *testing.T, point string) {
		agent := b.op.Agent(t, "nats", rig.Fields{"join_timeout_ms": 6000, "failover": []string{b.echo.Agent},
			"webrtc": rig.Fields{"connector": "nats", "on_close": "fallback", "timeout_ms": 1000, "attempts": 1}})
		ep := b.op.Endpoint(t, agent.ID, nil)
		crash := points[point](t, agent.ID)
		ctx, hangUp := context.WithCancel(t.Context())
		defer hangUp()
		done := make(chan caller.Report, 1)
		var came atomic.Int64 // packets
		var heard atomic.Bool // its own tone
		go func() {
			rep, err := caller.Call(ctx, caller.Options{URI: b.URI(ep.Slug), Codecs: []string{"PCMU"}, Talk: 3 * time.Minute,
				OnPacket: func(uint16, []byte) { came.Add(1) },
				Progress: func(p caller.Progress) {
					if p.Heard {
						heard.Store(true)
					}
				}})
			if err != nil {
				t.Errorf("the call: %v", err)
			}
			done <- rep
		}()
		resumed := 0
		if point == "in the call" {
			b.op.CallOf(t, ep, "established")
			resumed = 1
		}
		crash()
		rig.WaitFor(t, 3*settle, "the next agent has the call", func() bool {
			for _, c := range b.op.Calls(t) {
				if c.Endpoint == ep.Key && c.State == "established" && c.Agent == b.echo.Agent {
					return true
				}
			}
			return false
		})
		since := came.Load()
		rig.WaitFor(t, settle, "its tone comes back", func() bool { return heard.Load() && came.Load() >= since+100 })
		hangUp()
		rep := <-done
		if !rep.OK() || rep.EndedByPeer || rep.Lost != 0 {
			t.Errorf("the call: %+v", rep)
		}
		var page control.Page[call.Record]
		rig.WaitFor(t, settle, "its record", func() bool {
			page = control.Page[call.Record]{}
			return b.op.Try("record", "list", control.RecordPageRequest{Endpoint: ep.Key}, &page) == nil && len(page.Items) > 0
		})
		if rec := page.Items[0]; len(page.Items) != 1 || rec.Status != 200 || rec.Agent != b.echo.Agent || rec.Resumed != resumed || rec.Cause != call.CauseNormal {
			t.Errorf("%d records, %+v", len(page.Items), rec)
		}
	})
	b.Idle(t, settle)
}

// fails runs a worker of an agent that takes offers and comes to nothing. There
// is nothing left to crash.
func (s *stage) fails(t *testing.T, agent string, take func(*nats.Msg)) (crash func()) {
	t.Helper()
	conn := s.Connect(t)
	if _, err := conn.QueueSubscribe(subject.Offer(agent), subject.Workers, take); err != nil || conn.Flush() != nil {
		t.Fatalf("subscribe: %v", err)
	}
	return func() {}
}
