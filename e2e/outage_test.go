package e2e_test

import (
	"errors"
	"fmt"
	"maps"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/call"
	"patchbay/control"
	"patchbay/e2e/rig"
)

// apart starts a broker and a node of every other role that joins it.
func apart(t *testing.T) (broker *rig.Node, b *bed) {
	t.Helper()
	broker = rig.Start(t, rig.Settings{"node.roles": "broker"})
	return broker, beside(t, broker.NATS, rig.Settings{"sip.t1": "50ms", // a BYE that nobody answers is given up after 64*T1
		"media.first_rtp_timeout": "5m"}) // calls by hand have no audio
}

// beside starts a node of every role but the broker's, with NATS at host:port.
func beside(t *testing.T, nats string, settings rig.Settings) *bed {
	t.Helper()
	all := rig.Settings{"node.roles": "edge,actor,media,control", "nats.url": "nats://" + nats}
	maps.Copy(all, settings)
	node := rig.Prepare(t, 1, all)
	node.NATS = nats
	node.Run()
	t.Cleanup(func() { node.Stop(t) })
	op := node.Operator(t)
	return &bed{node, op, op.Echo(t), node.Port(t, 2)}
}

// records waits until the account has so many records, and returns them by SIP
// Call-ID.
func (b *bed) records(t *testing.T, want int) map[string]call.Record {
	t.Helper()
	var page control.Page[call.Record]
	rig.Until(t, settle, func() (string, bool) {
		page = control.Page[call.Record]{}
		err := b.op.Try("record", "list", control.RecordPageRequest{}, &page)
		return fmt.Sprintf("%d records, want %d: %v", len(page.Items), want, err), err == nil && len(page.Items) >= want
	})
	all := map[string]call.Record{}
	for _, rec := range page.Items {
		all[rec.SIPCallID] = rec
	}
	if len(page.Items) != want || len(all) != want {
		t.Errorf("%d records of %d calls, want %d", len(page.Items), len(all), want)
	}
	return all
}

func TestCallsGoOnWithoutJetStreamAndEachHasItsRecordAfterwards(t *testing.T) {
	t.Parallel()
	broker, b := apart(t)
	slug := b.endpoint(t, nil).Slug
	before := b.call(t, "udp", slug)
	before.bye(t)
	through := b.call(t, "udp", slug)
	b.op.Do(t, "agent", "update", control.Change{ID: b.echo.Agent, Patch: []byte(`{"max_duration_ms":12000}`)}, nil)
	within := b.call(t, "udp", slug)
	b.records(t, 1)

	broker.Signal(syscall.SIGTERM)
	if code, ended := broker.Ended(endLimit); !ended || code != 0 {
		t.Fatalf("the broker ended: %v, exit code %d, want 0", ended, code)
	}
	rig.Eventually(t, settle, "live calls", 1, func() float64 { return b.Metric(rig.CallsLive) }) // within has come to its end
	rig.Eventually(t, settle, "spooled records", 1, func() float64 { return b.Metric("patchbay_spool_records") })
	broker.Run()
	rig.WaitFor(t, settle, "the node is ready again", func() bool { status, _, err := b.Get("/readyz"); return err == nil && status == 200 })
	rig.Eventually(t, settle, "spooled records", 0, func() float64 { return b.Metric("patchbay_spool_records") })
	through.bye(t)

	all := b.records(t, 3)
	for _, c := range []struct {
		talk  *talk
		cause call.Cause
	}{{before, call.CauseNormal}, {through, call.CauseNormal}, {within, call.CauseMaxDuration}} {
		rec := all[c.talk.answer.Header("Call-ID")]
		if rec.Status != 200 || rec.Cause != c.cause || rec.Stages.Answered.IsZero() || !rec.Stages.Ended.After(rec.Stages.Answered) {
			t.Errorf("the record is %+v, want the cause %s", rec, c.cause.Word)
		}
	}
	b.onceEach(t, 3)
}

// onceEach looks into the streams: so many records, no subject twice, and no
// call left in the bucket.
func (b *bed) onceEach(t *testing.T, want int) {
	t.Helper()
	js, err := jetstream.New(b.op.Conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "RECORDS")
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("pb.v1.rec.*"))
	if err != nil || int(info.State.Msgs) != want || len(info.State.Subjects) != want {
		t.Errorf("RECORDS holds %+v, %v; want %d", info.State, err, want)
	}
	rig.WaitFor(t, settle, "no entry of a call is left", func() bool { return b.entries(t) == 0 })
}

// entries is how many live calls and tombstones the bucket has.
func (b *bed) entries(t *testing.T) int {
	t.Helper()
	js, err := jetstream.New(b.op.Conn)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), "calls")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := kv.Keys(t.Context())
	if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) {
		t.Fatal(err)
	}
	return len(keys)
}

func TestAKilledNodeRecordsTheCallsThatDiedWithIt(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	slug := b.endpoint(t, nil).Slug
	lost := b.call(t, "udp", slug)
	rig.WaitFor(t, settle, "JetStream has its entry, which no call waits for", func() bool { return b.entries(t) == 1 })
	b.Signal(syscall.SIGKILL)
	b.Ended(endLimit)
	b.Run()
	b.op = b.Operator(t)
	rec := b.records(t, 1)[lost.answer.Header("Call-ID")]
	if rec.Cause != call.CauseNodeLost || rec.EndedBy != call.ByNode {
		t.Errorf("the record is %+v, want the cause node_lost", rec)
	}
	b.onceEach(t, 1)
}
