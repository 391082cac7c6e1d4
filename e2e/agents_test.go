package e2e_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors/call"
	"patchbay/control"
	"patchbay/e2e/rig"
	"patchbay/internal/caller"
	"patchbay/internal/tone"
	"patchbay/media/rtp"
)

// pieces returns how many 100 ms pieces of what was heard are that tone, and
// the last of them.
func pieces(heard []int16, freq float64) (count, last int) {
	const size = 800
	for i := 0; (i+1)*size <= len(heard); i++ {
		if tone.Share(heard[i*size:(i+1)*size], freq, 8000) > 0.8 {
			count, last = count+1, i
		}
	}
	return count, last
}

// The claim: a crash of the agent in the middle of a call costs the
// call nothing but seconds: comfort, another worker in the same call, one
// record.
func TestAnAgentThatCrashesIsReplacedInTheSameCall(t *testing.T) {
	t.Parallel()
	node := rig.Start(t, nil)
	op := node.Operator(t)
	agent := op.Agent(t, "nats", rig.Fields{"webrtc": rig.Fields{"connector": "nats", "on_close": "hold"}})
	ep := op.Endpoint(t, agent.ID, nil)
	first := op.Worker(t, agent.ID, "w1")

	type end struct {
		rep caller.Report
		err error
	}
	ended := make(chan end, 1)
	ctx, hangUp := context.WithCancel(context.Background())
	defer hangUp()
	var own atomic.Int64 // packets of the caller's tone that came back
	go func() {
		rep, err := caller.Call(ctx, caller.Options{URI: node.URI(ep.Slug), Codecs: []string{"PCMU"}, Talk: 2 * time.Minute, KeepHeard: true,
			OnPacket: func(_ uint16, payload []byte) {
				if tone.Share(tone.DecodePCMU(payload), 1000, 8000) > 0.8 {
					own.Add(1)
				}
			}})
		ended <- end{rep, err}
	}()
	before := op.CallOf(t, ep, "established")
	first.Crash()
	op.CallOf(t, ep, "held")
	time.Sleep(time.Second) // the caller listens
	op.Worker(t, agent.ID, "w2")
	var after control.CallView
	rig.WaitFor(t, settle, "another worker has the call", func() bool {
		after = control.CallView{}
		for _, c := range op.Calls(t) {
			after = c
		}
		return after.State == "established" && after.Worker == "w2"
	})
	if after.ID != before.ID || before.Worker != "w1" {
		t.Errorf("call %s of %s became %s of %s", before.ID, before.Worker, after.ID, after.Worker)
	}
	heard := own.Load()
	rig.WaitFor(t, settle, "the caller's tone comes back", func() bool { return own.Load() >= heard+50 })
	hangUp()
	e := <-ended
	if e.err != nil || e.rep.Status != 200 || e.rep.EndedByPeer {
		t.Fatalf("the call: %+v, %v", e.rep, e.err)
	}
	comfort, lastComfort := pieces(e.rep.Heard, rtp.ComfortTone)
	echo, lastEcho := pieces(e.rep.Heard, 1000)
	if comfort == 0 || echo == 0 || lastEcho < lastComfort {
		t.Errorf("the caller heard %d pieces of comfort, the last at %d, and %d of the echo, the last at %d", comfort, lastComfort, echo, lastEcho)
	}
	b := &bed{Node: node, op: op}
	rec := b.records(t, 1)[e.rep.CallID]
	if rec.Status != 200 || rec.Resumed != 1 || rec.Worker != "w2" || rec.Cause != call.CauseNormal || rec.EndedBy != call.ByCarrier {
		t.Errorf("the record is %+v", rec)
	}
	b.onceEach(t, 1)
}

func TestABusyAgentsCallGoesToTheNextAndIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	full := b.op.Agent(t, "nats", rig.Fields{"failover": []string{b.op.Agent(t, "nats", nil).ID, b.echo.Agent}})
	refuse(t, b.op, full.ID)
	ep := b.op.Endpoint(t, full.ID, nil)
	rep, err := caller.Call(t.Context(), caller.Options{URI: b.URI(ep.Slug), Talk: 2 * time.Second})
	if err != nil || !rep.OK() {
		t.Fatalf("the call: %+v, %v", rep, err)
	}
	rec := b.records(t, 1)[rep.CallID]
	if rec.Agent != b.echo.Agent || rec.Status != 200 || rec.Resumed != 0 {
		t.Errorf("the record is %+v", rec)
	}
}

func TestACallThatNoAgentTakesGets480WithinItsTimeAndIsNotAnswered(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	none := b.op.Agent(t, "nats", nil).ID
	agent := b.op.Agent(t, "nats", rig.Fields{"join_timeout_ms": 2000, "failover": []string{none}})
	refuse(t, b.op, agent.ID)
	began := time.Now()
	rep, err := caller.Call(t.Context(), caller.Options{URI: b.URI(b.op.Endpoint(t, agent.ID, nil).Slug)})
	if took := time.Since(began); err != nil || rep.Status != 480 || rep.Answered != 0 || took > 10*time.Second {
		t.Errorf("after %v: %+v, %v; want 480 after 2 s", took, rep, err)
	}
	if rec := b.records(t, 1)[rep.CallID]; rec.Status != 480 || !rec.Stages.Answered.IsZero() || rec.Agent != none {
		t.Errorf("the record is %+v", rec)
	}
}

// refuse runs a worker that is always full.
func refuse(t *testing.T, op *rig.Operator, agent string) {
	t.Helper()
	_, err := op.Conn.QueueSubscribe("pb.v1.agent."+agent+".offer", "workers", func(m *nats.Msg) {
		_ = m.Respond([]byte(`{"error":{"code":503,"message":"busy"}}`))
	})
	if err != nil || op.Conn.Flush() != nil {
		t.Fatal(err)
	}
}

// A session that was parked is in the next call at once, and is parked by the
// same key and at the same place that calls are asked for.
func TestAnAgentThatStandsByHasItsCallAtOnce(t *testing.T) {
	t.Parallel()
	node := rig.Start(t, nil)
	op := node.Operator(t)
	agent := op.Agent(t, "dialin", nil)
	ep := op.Endpoint(t, agent.ID, nil)
	parked := node.Park(t, agent.ID)
	rig.WaitFor(t, settle, "the session stands by", func() bool {
		var f control.Workforce
		return op.Try("agent", "workers", control.ID{ID: agent.ID}, &f) == nil && f.Standby == 1
	})
	rep, err := caller.Call(t.Context(), caller.Options{URI: node.URI(ep.Slug), Talk: 2 * time.Second})
	if err != nil || !rep.OK() || rep.Answered > 10*time.Second {
		t.Fatalf("the call: %+v, %v; want it answered at once", rep, err)
	}
	for _, want := range []string{`"type":"call.started"`, `"type":"call.answered"`, `"type":"call.ended"`} {
		if got := parked.Hear(t); !strings.Contains(got, want) {
			t.Errorf("the agent was told %s, want %s", got, want)
		}
	}
	second := node.Park(t, agent.ID)
	if status := second.Leave(t); status != 204 {
		t.Errorf("leaving: %d, want 204", status)
	}
	if status := second.Leave(t); status != 404 {
		t.Errorf("leaving twice: %d, want 404", status)
	}
}
