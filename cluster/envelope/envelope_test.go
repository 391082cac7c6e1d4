package envelope_test

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/envelope"
	"patchbay/cluster/placement"
	"patchbay/internal/golden"
)

const rawInvite = "INVITE sip:demo-abcdefghjkmnpqrstuvwxyz2@sip.example SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx;received=192.0.2.1;rport=5060\r\n" +
	"Call-ID: 1@pbx\r\nContent-Length: 0\r\n\r\n"

var (
	sampleFlow = call.Flow{
		Edge: "edge-1", Boot: 1_700_000_000_123_456_789, Transport: call.TCP, Conn: 12,
		Local: netip.MustParseAddrPort("198.51.100.1:5060"), Remote: netip.MustParseAddrPort("192.0.2.1:41000"),
		Reply: netip.MustParseAddrPort("192.0.2.1:5060"),
	}
	samplePacket = call.Packet{Flow: sampleFlow, Raw: []byte(rawInvite)}
	sampleInvite = endpoint.Invite{
		Address: endpoint.SlugAddress("demo-abcdefghjkmnpqrstuvwxyz2"), CallID: "1@pbx", FromTag: `a"b\c`, CSeq: 4_294_967_295,
		Branch: "z9hG4bKx", Source: netip.MustParseAddrPort("[2001:db8::1]:5060"), Transport: "tcp", FromUser: "+4930\u00e9\n", ToUser: "demo",
	}
	sampleID  = call.ID(0x0123456789abcdef)
	sampleJob = actors.Job{
		V: 1, Key: call.TransactionKey{CallID: "1@pbx", FromTag: "f", CSeq: 7}, Branch: "z9hG4bKx", Tenant: "acme",
		Endpoint: "abcdefghijklmnopqrstuvwxyz", DecisionID: "d1", Packet: samplePacket,
		Agent: &endpoint.Agent{V: 1, ID: "a1", Tenant: "acme", Name: "Alice", IsActive: true,
			WebRTC: endpoint.AgentTransport{Connector: endpoint.ConnectNATS}},
	}
)

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// sampleSnapshot is of a call that has no answer yet.
func sampleSnapshot() *actors.Snapshot {
	at := time.Unix(1_800_000_000, 0).UTC()
	job := sampleJob
	job.Packet = call.Packet{}
	return &actors.Snapshot{V: 1, At: at, Job: job, Flow: sampleFlow, Agent: 1, Epoch: 2, Events: 3, Until: at.Add(time.Minute),
		Ruling: &actors.Ruling{V: 1, Context: []byte(`{"tier":"gold"}`)},
		Invitation: call.Invitation{Key: job.Key, From: call.Party{User: "+15550100"}, Transport: call.TCP, Source: "192.0.2.1:41000",
			Headers: []call.Header{{Name: "X-Customer-Name", Value: "Bob"}},
			Offer:   &call.Offer{Addr: netip.MustParseAddrPort("192.0.2.1:4000"), Codecs: []call.Codec{{Name: "PCMU", ClockRate: 8000}}, Direction: call.SendRecv}},
		Record: call.Record{ID: sampleID, Tenant: "acme", Endpoint: "abcdefghijklmnopqrstuvwxyz", Agent: "a1", Node: "m1", Stages: call.Stages{Invited: at}},
		Dialog: []byte(`{"v":1,"tag":"t"}`), Media: []byte(`{"v":1}`), Raw: []byte(rawInvite)}
}

// written are one message of every kind.
func written() map[string][]byte {
	boundless := sampleFlow
	boundless.Transport, boundless.Conn, boundless.Reply = call.UDP, 0, netip.AddrPort{}
	return map[string][]byte{
		"invite":    envelope.EncodeInvite(sampleInvite, false, samplePacket),
		"cancel":    envelope.EncodeInvite(sampleInvite, true, samplePacket),
		"intake":    must(envelope.EncodeIntake(sampleJob)),
		"in-dialog": envelope.EncodeInDialog(sampleID, samplePacket),
		"send":      envelope.EncodeSend(call.Transmission{Flow: sampleFlow, Raw: []byte("BYE")}),
		"send-to":   envelope.EncodeSend(call.Transmission{Flow: boundless, To: sampleFlow.Reply, Raw: []byte("BYE")}),
		"send-host": envelope.EncodeSend(call.Transmission{Flow: boundless, Host: "pbx.example:5070", Raw: []byte("BYE")}),
		"send-grow": envelope.EncodeSend(call.Transmission{Flow: call.Flow{Transport: call.UDP}, Host: "pbx.example", Grows: true, Raw: []byte("BYE")}),
		"send-fill": envelope.EncodeSend(call.Transmission{Flow: call.Flow{Transport: call.UDP}, Host: "pbx.example", Fill: true, Raw: []byte("INVITE")}),
		"outcome":   must(envelope.EncodeOutcome(actors.Outcome{Status: 503, RetryAfter: 1500 * time.Millisecond, Reason: `SIP;cause=503;text="full"`})),
		"taken":     must(envelope.EncodeTaken(actors.Taken{ID: sampleID, New: true, Node: "m1"})),
		"delivery":  must(envelope.EncodeDelivery(envelope.NotMine)),
		"holder":    must(envelope.EncodeHolder(513)),
		"question": must(envelope.EncodeQuestion(actors.Question{Call: sampleID, Tenant: "acme", Endpoint: "abcdefghijklmnopqrstuvwxyz", Partition: 255,
			DecisionID: "d1", From: call.Party{URI: "sip:+15550100@pbx.example", User: "+15550100", Display: "Bob"}, To: call.Party{User: "sales"},
			Headers: []call.Header{{Name: "X-Customer-Name", Value: "Bob"}}})),
		"target-question": must(envelope.EncodeTargetQuestion(actors.TargetQuestion{Call: sampleID, Tenant: "acme", Node: "m1", Target: 7, Agent: "a1", ProjectID: "p1",
			Transfer: call.Transfer{To: "+4930123", Mode: "bridge", By: "agent", Trunk: "t1", From: "+15550100", RingTimeoutMs: 30000, Headers: []call.Header{{Name: "X-Ticket", Value: "4711"}}},
			Them:     call.Party{User: "+15550199"}, Us: call.Party{User: "+15550100"}, Codec: "PCMU"})),
		"target-answer": must(envelope.EncodeTargetAnswer(actors.TargetAnswer{Job: &actors.Job{V: 1, Tenant: "acme", Transfer: &endpoint.TransferPolicy{Trunk: "t1", Targets: &[]string{"+49*"}},
			Dial: &actors.Dial{ID: 7, To: "sip:+4930123@carrier.example", For: sampleID}}})),
		"target-dialog":  must(envelope.EncodeTargetAnswer(actors.TargetAnswer{Replaces: &call.DialogID{CallID: "c1", OurTag: "o", TheirTag: "t", TheirSide: "sip:bob@pbx.example"}})),
		"target-refusal": must(envelope.EncodeTargetAnswer(actors.TargetAnswer{Reason: call.ReasonNoTrunk})),
		"working":        must(envelope.EncodeWorking()),
		"ruling": must(envelope.EncodeRuling(actors.Ruling{Agent: sampleJob.Agent, Context: []byte(`{"tier":"gold"}`),
			Metadata: []byte(`{"src":"fb"}`)})),
		"refusal": must(envelope.EncodeRuling(actors.Ruling{Status: 504, Reason: endpoint.ReasonWebhookTimeout})),
		"explain": must(envelope.EncodeExplain("acme", sampleInvite)),
		"explanation": must(envelope.EncodeExplanation(actors.Explanation{DecisionID: "d1", Tenant: "acme", Key: "abcdefghijklmnopqrstuvwxyz", EndpointID: "e1",
			Verdict: endpoint.Verdict{Action: endpoint.Reject, Status: 486, Reason: endpoint.ReasonConcurrency, Rule: endpoint.RuleConcurrency},
			Shown:   endpoint.Shown{Status: 486}, Calls: 3, Project: 7})),
		"command":      must(envelope.EncodeCommand(envelope.Command{Op: "get", Tenant: "acme", Call: sampleID})),
		"result":       must(envelope.EncodeResult(envelope.Result{Code: envelope.CodeNotMine, Message: "no such call here"})),
		"node-command": must(envelope.EncodeNodeCommand(envelope.NodeCommand{Act: envelope.NodeDrainAct, Node: "m1"})),
		"node-status": must(envelope.EncodeNodeStatus(envelope.NodeStatus{Node: "m1", Roles: []string{"media"}, Version: "0.1.0",
			Since: time.Unix(1_800_000_000, 0).UTC(), Draining: true, Calls: 7, State: envelope.NodeDraining, Capacity: 2000, Slot: 3, Partitions: 5,
			Broker: &envelope.BrokerStatus{Brokers: 2, Of: 3, MetaLeader: "b1", Leads: []string{"EVENTS"}, Behind: []string{"EVENTS on b3: offline"}}})),
		"snapshot": must(envelope.EncodeSnapshot(sampleSnapshot())),
		"beat": must(envelope.EncodeBeat(envelope.Beat{Role: "media", Node: "m1", Boot: 5, Seq: 9, Slot: 3, Capacity: 2000,
			Part: 1, Parts: 1, Calls: envelope.CallLists{"abcdefghijklmnopqrstuvwxyz": {sampleID}}})),
		"beat-young": must(envelope.EncodeBeat(envelope.Beat{Role: "media", Node: "m1", Boot: 5, Seq: 10, Slot: 3, Capacity: 2000, Delta: true,
			Young: []call.Mark{{Digest: sampleJob.Key.Digest()}, {Digest: 7, Settled: true}}})),
		"beat-actor": must(envelope.EncodeBeat(envelope.Beat{Role: "actor", Node: "a1", Boot: 5, Seq: 11, Capacity: 4,
			Claims: placement.Set{1, 0, 0, 1 << 63}})),
	}
}

func TestWireFormat(t *testing.T) {
	t.Parallel()
	for name, b := range written() {
		t.Run(name, func(t *testing.T) { golden.Compare(t, "testdata/"+name+".txt", b) })
	}
}

// decoders read each kind back, as what a receiver makes of it.
var decoders = map[string]func([]byte) (any, error){
	"invite": func(b []byte) (any, error) {
		inv, cancel, p, err := envelope.DecodeInvite(b)
		return []any{inv, cancel, p}, err
	},
	"intake": func(b []byte) (any, error) { return envelope.DecodeIntake(b) },
	"in-dialog": func(b []byte) (any, error) {
		id, p, err := envelope.DecodeInDialog(b)
		return []any{id, p}, err
	},
	"send":       func(b []byte) (any, error) { return envelope.DecodeSend(b) },
	"outcome":    func(b []byte) (any, error) { return envelope.DecodeOutcome(b) },
	"taken":      func(b []byte) (any, error) { return envelope.DecodeTaken(b) },
	"delivery":   func(b []byte) (any, error) { return envelope.DecodeDelivery(b) },
	"holder":     func(b []byte) (any, error) { return envelope.DecodeHolder(b) },
	"command":    func(b []byte) (any, error) { return envelope.DecodeCommand(b) },
	"result":     func(b []byte) (any, error) { return envelope.DecodeResult(b) },
	"beat":       func(b []byte) (any, error) { return envelope.DecodeBeat(b) },
	"beat-young": func(b []byte) (any, error) { return envelope.DecodeBeat(b) },
	"beat-actor": func(b []byte) (any, error) { return envelope.DecodeBeat(b) },

	"target-question": func(b []byte) (any, error) { return envelope.DecodeTargetQuestion(b) },
	"target-answer":   func(b []byte) (any, error) { return envelope.DecodeTargetAnswer(b) },

	"question":    func(b []byte) (any, error) { return envelope.DecodeQuestion(b) },
	"ruling":      func(b []byte) (any, error) { return envelope.DecodeRuling(b) },
	"explanation": func(b []byte) (any, error) { return envelope.DecodeExplanation(b) },
	"explain": func(b []byte) (any, error) {
		tenant, inv, err := envelope.DecodeExplain(b)
		return []any{tenant, inv}, err
	},

	"node-command": func(b []byte) (any, error) { return envelope.DecodeNodeCommand(b) },
	"node-status":  func(b []byte) (any, error) { return envelope.DecodeNodeStatus(b) },
	"snapshot":     func(b []byte) (any, error) { return envelope.DecodeSnapshot(b) },
}

func decoderOf(name string) func([]byte) (any, error) {
	switch {
	case name == "cancel":
		return decoders["invite"]
	case strings.HasPrefix(name, "send"):
		return decoders["send"]
	case name == "working", name == "refusal":
		return decoders["ruling"]
	case name == "target-dialog", name == "target-refusal":
		return decoders["target-answer"]
	}
	return decoders[name]
}

func TestWhatIsReadIsWhatWasWritten(t *testing.T) {
	t.Parallel()
	w := written()
	boundless := sampleFlow
	boundless.Transport, boundless.Conn, boundless.Reply = call.UDP, 0, netip.AddrPort{}
	job := sampleJob
	for name, want := range map[string]any{
		"invite":    []any{sampleInvite, false, samplePacket},
		"cancel":    []any{sampleInvite, true, samplePacket},
		"intake":    job,
		"in-dialog": []any{sampleID, samplePacket},
		"send":      call.Transmission{Flow: sampleFlow, Raw: []byte("BYE")},
		"send-to":   call.Transmission{Flow: boundless, To: sampleFlow.Reply, Raw: []byte("BYE")},
		"send-host": call.Transmission{Flow: boundless, Host: "pbx.example:5070", Raw: []byte("BYE")},
		"outcome":   actors.Outcome{Status: 503, RetryAfter: 2 * time.Second, Reason: `SIP;cause=503;text="full"`},
		"taken":     actors.Taken{V: 1, ID: sampleID, New: true, Node: "m1"},
		"delivery":  envelope.NotMine,
		"holder":    call.Slot(513),
		"explain":   []any{"acme", sampleInvite},
		"working":   (*actors.Ruling)(nil),
		"refusal":   &actors.Ruling{V: 1, Status: 504, Reason: endpoint.ReasonWebhookTimeout},
	} {
		got, err := decoderOf(name)(w[name])
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got  %+v, %v\n want %+v", name, got, err, want)
		}
	}
}

func TestAnotherVersionIsRefused(t *testing.T) {
	t.Parallel()
	for name, b := range written() {
		for _, other := range []string{`"v":2`, `"v":0`} {
			b := bytes.Replace(b, []byte(`"v":1`), []byte(other), 1)
			if _, err := decoderOf(name)(b); !errors.Is(err, envelope.ErrVersion) {
				t.Errorf("%s with %s: %v", name, other, err)
			}
		}
	}
}

func TestFieldsOfNewerNodesAreIgnored(t *testing.T) {
	t.Parallel()
	for name, b := range written() {
		b := bytes.Replace(b, []byte(`{"v":1`), []byte(`{"later":{"a":[1,"}\""]},"v":1`), 1)
		if _, err := decoderOf(name)(b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRubbishIsRefusedWithoutShowingIt(t *testing.T) {
	t.Parallel()
	for name, decode := range decoders {
		for _, in := range []string{"", "\n", "{}", "{}\n", "{\n", `{"v":"demo-secret"}` + "\n", `{"v":1,"flow":"demo-secret"` + "\n", "demo-secret\n", `[1]` + "\n"} {
			_, err := decode([]byte(in))
			if err == nil {
				t.Errorf("%s: %q was read", name, in)
			} else if strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: the error shows what was received: %v", name, err)
			}
		}
	}
}

func TestASilentOutcomeStaysSilent(t *testing.T) {
	t.Parallel()
	want := actors.Outcome{Status: 404, Silent: true}
	if got, err := envelope.DecodeOutcome(must(envelope.EncodeOutcome(want))); got != want || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAnOutcomeThatSaysNothingIsRefused(t *testing.T) {
	t.Parallel()
	for _, status := range []int{0, 100, 200, 299, 700, -1} {
		if _, err := envelope.DecodeOutcome(must(envelope.EncodeOutcome(actors.Outcome{Status: status}))); err == nil {
			t.Errorf("status %d was read", status)
		}
	}
}

func TestARulingThatSaysNothingIsRefused(t *testing.T) {
	t.Parallel()
	for _, status := range []int{0, 200, 399, 700} {
		if _, err := envelope.DecodeRuling(must(envelope.EncodeRuling(actors.Ruling{Status: status}))); !errors.Is(err, envelope.ErrMalformed) {
			t.Errorf("status %d: %v", status, err)
		}
	}
}

func TestListsOfCallsAreSplitToFit(t *testing.T) {
	t.Parallel()
	lists := envelope.CallLists{}
	total := 0
	for k := range 50 {
		key := endpoint.SlugAddress(endpoint.Slug(strings.Repeat("k", k+1))).Key()
		for i := range k * 10 {
			lists[key] = append(lists[key], call.ID(k*1000+i))
			total++
		}
	}
	const limit = 8 << 10
	got := 0
	parts := envelope.Split(lists, limit)
	for _, part := range parts {
		b := must(envelope.EncodeBeat(envelope.Beat{Role: "media", Node: "m", Calls: part}))
		if len(b) > limit+200 {
			t.Errorf("a part has %d bytes, want at most %d and the head", len(b), limit)
		}
		for _, ids := range part {
			got += len(ids)
		}
	}
	if got != total || len(parts) > 2*total*16/limit+2 {
		t.Errorf("%d ids in %d parts, want %d ids", got, len(parts), total)
	}
	if parts := envelope.Split(nil, limit); len(parts) != 1 {
		t.Errorf("no calls make %d parts, want one that says so", len(parts))
	}
}

func FuzzDecode(f *testing.F) {
	for _, b := range written() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, decode := range decoders {
			_, _ = decode(b)
		}
		// What was read can be written, and is read again as the same.
		if inv, cancel, p, err := envelope.DecodeInvite(b); err == nil {
			again, c, q, err := envelope.DecodeInvite(envelope.EncodeInvite(inv, cancel, p))
			if err != nil || !reflect.DeepEqual([]any{again, c, q}, []any{inv, cancel, p}) {
				t.Errorf("%+v became %+v, %v", inv, again, err)
			}
		}
		if tx, err := envelope.DecodeSend(b); err == nil {
			again, err := envelope.DecodeSend(envelope.EncodeSend(tx))
			if err != nil || !reflect.DeepEqual(again, tx) {
				t.Errorf("%+v became %+v, %v", tx, again, err)
			}
		}
	})
}

// ordinary is an INVITE as most are: nothing in it needs an escape.
func ordinary() endpoint.Invite {
	inv := sampleInvite
	inv.FromTag, inv.FromUser = "as58f4ba67", "+4930123456"
	return inv
}

func BenchmarkEncodeInvite(b *testing.B) {
	inv := ordinary()
	b.ReportAllocs()
	for b.Loop() {
		envelope.EncodeInvite(inv, false, samplePacket)
	}
}

func BenchmarkDecodeInvite(b *testing.B) {
	data := envelope.EncodeInvite(ordinary(), false, samplePacket)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, err := envelope.DecodeInvite(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeInDialog(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		envelope.EncodeInDialog(sampleID, samplePacket)
	}
}

func BenchmarkDecodeInDialog(b *testing.B) {
	data := envelope.EncodeInDialog(sampleID, samplePacket)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := envelope.DecodeInDialog(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeSend(b *testing.B) {
	data := envelope.EncodeSend(call.Transmission{Flow: sampleFlow, Raw: []byte(rawInvite)})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := envelope.DecodeSend(data); err != nil {
			b.Fatal(err)
		}
	}
}
