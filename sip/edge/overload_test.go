package edge

import (
	"bytes"
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/config"
	"patchbay/sip/token"
)

// A tape is a link that keeps what is sent on it.
type tape struct {
	mu  sync.Mutex
	all [][]byte
}

func (l *tape) send(raw []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, raw)
	return nil
}

func (l *tape) stop() {}

type stubRouter struct{ status int }

func (r stubRouter) Invite(_ endpoint.Invite, _ bool, _ call.Packet, done func(Outcome)) {
	done(Outcome{Status: r.status})
}

func (r stubRouter) InDialog(_ call.Slot, _ call.ID, _ call.Packet, done func(error)) { done(nil) }

func stubEdge(t testing.TB, o Observer) *Edge {
	keys, err := token.NewKeys(token.Key{ID: 1, Secret: [32]byte{1}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := New(config.SIP{BaseDomain: "sip.example", MaxPending: 8}, "edge-1", 1, keys, stubRouter{404}, WithObserver(o))
	e.shards = newShards(1)
	return e
}

var carrierAddr = netip.MustParseAddrPort("192.0.2.1:5060")

const carrierOffer = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n" +
	"m=audio 40000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"

func carrierInvite(toTag string) []byte {
	return fmt.Appendf(nil, "INVITE sip:desk-abcdefghijklmnopqrstuvwx@sip.example SIP/2.0\r\n"+
		"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asdhds;rport\r\nMax-Forwards: 70\r\n"+
		"From: \"Carrier\" <sip:+15550100@carrier.example>;tag=1928301774\r\n"+
		"To: <sip:desk-abcdefghijklmnopqrstuvwx@sip.example>%s\r\n"+
		"Call-ID: a84b4c76e66710@192.0.2.1\r\nCSeq: 314159 INVITE\r\nContact: <sip:carrier@192.0.2.1>\r\n"+
		"User-Agent: trunk\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\n"+
		"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", toTag, len(carrierOffer), carrierOffer)
}

func TestAFullQueueRefusesNewCallsFirst(t *testing.T) {
	t.Parallel()
	dropped := 0
	e := stubEdge(t, Observer{Dropped: func(why Drop) {
		if why == DropQueueFull {
			dropped++
		}
	}})
	out := &tape{}
	offer := func(raw []byte) {
		e.deliver(inbound{raw: raw, flow: call.Flow{Transport: call.TCP, Remote: carrierAddr}, link: out})
	}
	fresh, again := carrierInvite(""), carrierInvite(";tag=known")
	for range shardDepth - shardHeadroom {
		offer(fresh)
	}
	if len(out.all) != 0 || dropped != 0 {
		t.Fatalf("%d answers and %d drops before the queue is full", len(out.all), dropped)
	}
	offer(fresh)
	if len(out.all) != 1 || !bytes.HasPrefix(out.all[0], []byte("SIP/2.0 503 ")) || !bytes.Contains(out.all[0], []byte("Retry-After: ")) {
		t.Fatalf("a new call got %q", out.all)
	}
	for range shardHeadroom {
		offer(again)
	}
	if dropped != 0 {
		t.Errorf("%d messages of dialogs were dropped", dropped)
	}
	offer(again)
	if dropped != 1 || len(out.all) != 1 {
		t.Errorf("a full queue dropped %d and answered %d", dropped, len(out.all))
	}
	e.closeShards()
	e.serveShard(&e.shards[0])
	if n := e.queued.Load(); n != 0 {
		t.Errorf("%d bytes are counted as queued", n)
	}
}

// A copy of an INVITE whose first may be a call by now gets no 503 for want of
// room: that would end the INVITE and not the call (RFC 3261 17.2.1).
func TestACopyOfACallThatWasTakenIsNotRefusedForWantOfRoom(t *testing.T) {
	t.Parallel()
	known := false
	dropped := 0
	e := stubEdge(t, Observer{Dropped: func(Drop) { dropped++ }})
	WithTaken(func(inv endpoint.Invite) bool {
		return known && inv.CallID == "a84b4c76e66710@192.0.2.1" && inv.CSeq == 314159
	})(e)
	out := &tape{}
	in := inbound{raw: carrierInvite(""), flow: call.Flow{Transport: call.UDP, Remote: carrierAddr}, link: out}
	for range shardDepth - shardHeadroom {
		e.deliver(in)
	}
	for _, refuse := range []func(){func() { e.deliver(in) }, func() {
		e.pending.Store(8)
		e.process(in)
		e.pending.Store(0)
	}} {
		out.all, dropped = nil, 0
		known = true
		if refuse(); len(out.all) != 0 || dropped != 1 {
			t.Errorf("a copy got %q, %d dropped", out.all, dropped)
		}
		known = false
		if refuse(); len(out.all) != 1 || !bytes.HasPrefix(out.all[0], []byte("SIP/2.0 503 ")) || dropped != 1 {
			t.Errorf("a new call got %q", out.all)
		}
	}
	known, in.flow.Transport, out.all = true, call.TCP, nil
	if e.deliver(in); len(out.all) != 1 {
		t.Error("over TCP nobody repeats it: it is owed an answer")
	}
}

func TestQueuedBytesAreBounded(t *testing.T) {
	t.Parallel()
	dropped := 0
	e := stubEdge(t, Observer{Dropped: func(Drop) { dropped++ }})
	e.queued.Store(maxQueuedBytes - 10)
	e.deliver(inbound{raw: carrierInvite(";tag=known"), flow: call.Flow{Transport: call.TCP, Remote: carrierAddr}, link: &tape{}})
	if dropped != 1 || e.queued.Load() != maxQueuedBytes-10 {
		t.Errorf("%d dropped, %d bytes counted", dropped, e.queued.Load())
	}
}

// BenchmarkInviteRefused is one INVITE from bytes in to bytes out, with a
// router that rejects at once.
func BenchmarkInviteRefused(b *testing.B) {
	raw := carrierInvite("")
	e := stubEdge(b, Observer{})
	sent := 0
	in := inbound{flow: call.Flow{Transport: call.UDP, Remote: carrierAddr}, link: linkFunc(func([]byte) error { sent++; return nil })}
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		in.raw = raw
		e.process(in)
	}
	if sent != b.N {
		b.Fatalf("%d answers to %d INVITEs", sent, b.N)
	}
}

// BenchmarkShard is what a listener does with each message: choose its worker.
func BenchmarkShard(b *testing.B) {
	e := stubEdge(b, Observer{})
	in := inbound{raw: carrierInvite("")}
	b.ReportAllocs()
	for b.Loop() {
		_ = e.shardOf(in)
	}
}

type linkFunc func([]byte) error

func (f linkFunc) send(raw []byte) error { return f(raw) }
func (f linkFunc) stop()                 {}
