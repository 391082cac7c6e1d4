package edge_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/sip/edge"
	"patchbay/sip/token"
	"patchbay/sip/wire"
)

// each runs a test over UDP and over TCP.
func each(t *testing.T, f func(t *testing.T, connect func(*rig) *peer)) {
	t.Run("udp", func(t *testing.T) { t.Parallel(); f(t, (*rig).udp) })
	t.Run("tcp", func(t *testing.T) { t.Parallel(); f(t, (*rig).tcp) })
}

func TestAnInviteIsAskedAboutByItsAddress(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"sip:Desk-ABC@sip.example":      "s/desk-abc",
		"sip:Desk-ABC@192.0.2.1:5060":   "s/desk-abc",
		"sip:desk-abc@[2001:db8::1]":    "s/desk-abc",
		"sip:desk-abc@elsewhere.net":    "d/elsewhere.net/desk-abc",
		"sip:Bob@Acme.SIP.example":      "a/acme/Bob",
		"sip:bob@acme.sip.example:5060": "a/acme/bob",
		"sip:bob@a.b.sip.example":       "s/bob",
		"sip:bob@notsip.example":        "d/notsip.example/bob",
		"sip:sip.example":               "s/",
	} {
		asked := make(chan endpoint.Invite, 1)
		packets := make(chan call.Packet, 1)
		r := rejecting(404)
		r.invite = func(inv endpoint.Invite, cancel bool, p call.Packet, done func(edge.Outcome)) {
			if cancel {
				t.Error("an INVITE came as CANCEL")
			}
			asked <- inv
			packets <- p
			done(edge.Outcome{Status: 404})
		}
		rig := start(t, settings(), r)
		p := rig.udp()
		res := p.ask(msg{method: "INVITE", uri: uri}.String())
		if status(res) != "404" {
			t.Fatalf("%s: got %q", uri, res)
		}
		inv, pkt := take(t, asked), take(t, packets)
		if inv.Address.Reveal() != want {
			t.Errorf("%s is address %s, want %s", uri, inv.Address.Reveal(), want)
		}
		if inv.CallID != "call-1" || inv.FromTag != "f1" || inv.CSeq != 1 || inv.Branch != "z9hG4bKb1" ||
			inv.Source.String() != p.conn.LocalAddr().String() || inv.Transport != "udp" || inv.FromUser != "+15550100" {
			t.Errorf("wrong facts: %+v", inv)
		}
		if f := pkt.Flow; f.Edge != edgeID || f.Boot != boot || f.Transport != call.UDP || f.Reply != inv.Source || f.Local != rig.Addrs().UDP {
			t.Errorf("wrong flow: %+v", f)
		}
		if !strings.Contains(string(pkt.Raw), "received=127.0.0.1") {
			t.Error("the packet's Via does not say where it came from")
		}
		if status(res) != "404" || header(res, "Retry-After") != "" {
			t.Errorf("got %q", res)
		}
	}
}

func TestARejectionIsStatelessAndItsAckIsAbsorbed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, connect func(*rig) *peer) {
		r := rejecting(0)
		r.invite = func(_ endpoint.Invite, _ bool, _ call.Packet, done func(edge.Outcome)) {
			done(edge.Outcome{Status: 403, Reason: `source "x"`})
		}
		r.inDialog = func(call.Slot, call.ID, call.Packet, func(error)) { t.Error("somebody was asked about the ACK") }
		rig := start(t, settings(), r)
		p := connect(rig)
		first, second := p.ask(msg{method: "INVITE"}.String()), p.ask(msg{method: "INVITE"}.String())
		if first != second {
			t.Errorf("two copies, two answers:\n%s%s", first, second)
		}
		if got := header(first, "Reason"); status(first) != "403" || got != `SIP;cause=403;text="source \"x\""` {
			t.Errorf("got status %s and Reason %s", status(first), got)
		}
		opened, ok := rig.keys.Open(toTag(first), "call-1")
		if !ok || opened.Kind != token.Reject {
			t.Errorf("To-tag %q is no token of a rejection", toTag(first))
		}
		other := start(t, settings(), r) // any edge knows it
		connect(other).send(msg{method: "ACK", toTag: toTag(first)}.String())
		other.seen.await(t, "dropped "+string(edge.DropStrayAck), 1)
	})
}

func TestATakenInviteIsLeftToTheCallActor(t *testing.T) {
	t.Parallel()
	r := rejecting(0)
	r.invite = func(_ endpoint.Invite, _ bool, _ call.Packet, done func(edge.Outcome)) {
		done(edge.Outcome{Taken: true})
	}
	rig := start(t, settings(), r)
	p := rig.udp()
	p.send(msg{method: "INVITE"}.String())
	if got := p.read(silence); got != "" {
		t.Errorf("the edge answered %q", got)
	}
}

func TestACancelGoesTheWayOfItsInvite(t *testing.T) {
	t.Parallel()
	r := rejecting(0)
	r.invite = func(inv endpoint.Invite, cancel bool, _ call.Packet, done func(edge.Outcome)) {
		if !cancel || inv.Address.Reveal() != "s/desk-abcdef" {
			t.Errorf("cancel %v of %s", cancel, inv.Address)
		}
		done(edge.Outcome{Status: 481})
	}
	rig := start(t, settings(), r)
	rig.Drain() // a CANCEL makes room: it is served all the same
	if got := status(rig.udp().ask(msg{method: "CANCEL"}.String())); got != "481" {
		t.Errorf("got %s", got)
	}
}

func TestMessagesOfADialogGoToTheNodeOfTheirToken(t *testing.T) {
	t.Parallel()
	type asked struct {
		slot call.Slot
		id   call.ID
	}
	got := make(chan asked, 1)
	r := rejecting(404)
	r.invite = func(endpoint.Invite, bool, call.Packet, func(edge.Outcome)) { t.Error("asked for a verdict") }
	r.inDialog = func(slot call.Slot, id call.ID, p call.Packet, done func(error)) {
		got <- asked{slot, id}
		done(nil)
	}
	rig := start(t, settings(), r)
	tag := rig.keys.Mint(token.Call, 3, 33, "call-1")
	moved := "sip:" + rig.keys.Mint(token.Call, 4, 33, "call-1") + "@192.0.2.1"
	for name, tc := range map[string]struct {
		msg  msg
		want asked
	}{
		"by the To-tag":                        {msg{method: "BYE", toTag: tag}, asked{3, 33}},
		"by our Contact":                       {msg{method: "BYE", uri: moved, toTag: tag}, asked{4, 33}},
		"by our Contact, upper case":           {msg{method: "BYE", uri: strings.ToUpper(moved[:36]) + moved[36:], toTag: tag}, asked{4, 33}},
		"an ACK":                               {msg{method: "ACK", toTag: tag}, asked{3, 33}},
		"a re-INVITE":                          {msg{method: "INVITE", toTag: tag}, asked{3, 33}},
		"OPTIONS":                              {msg{method: "OPTIONS", toTag: tag}, asked{3, 33}},
		"a method nobody serves":               {msg{method: "SUBSCRIBE", toTag: tag}, asked{3, 33}},
		"a request for our Contact, no To-tag": {msg{method: "INVITE", uri: moved}, asked{4, 33}},
		"a response, by its branch":            {msg{method: "SIP/2.0 200 OK", branch: rig.keys.Branch(5, 55, "call-1", 2)}, asked{5, 55}},
	} {
		rig.udp().send(tc.msg.String())
		select {
		case a := <-got:
			if a != tc.want {
				t.Errorf("%s: went to %+v, want %+v", name, a, tc.want)
			}
		case <-time.After(patience):
			t.Errorf("%s: nobody was asked", name)
		}
	}
}

func TestADialogThatNobodyHasIs481WithoutAQuestion(t *testing.T) {
	t.Parallel()
	r := rejecting(404)
	r.inDialog = func(call.Slot, call.ID, call.Packet, func(error)) { t.Error("somebody was asked") }
	rig := start(t, settings(), r)
	for name, tag := range map[string]string{
		"no token":                   "abc",
		"another Call-ID's token":    rig.keys.Mint(token.Call, 3, 33, "call-2"),
		"a token of a rejection":     rig.keys.Reject("call-1"),
		"a branch's token in a tag":  rig.keys.Mint(token.Via, 3, 33, "call-1"),
		"a token with one bit wrong": flip(rig.keys.Mint(token.Call, 3, 33, "call-1")),
	} {
		p := rig.udp()
		res := p.ask(msg{method: "BYE", toTag: tag}.String())
		if status(res) != "481" || toTag(res) != tag {
			t.Errorf("%s: got %q", name, res)
		}
		dropped := rig.seen.of("dropped " + string(edge.DropStrayAck))
		p.send(msg{method: "ACK", toTag: tag}.String())
		rig.seen.await(t, "dropped "+string(edge.DropStrayAck), dropped+1)
	}
	rig.udp().send(msg{method: "SIP/2.0 200 OK", branch: "z9hG4bKforeign"}.String())
	rig.seen.await(t, "dropped "+string(edge.DropStrayResponse), 1)
}

func flip(tok string) string {
	b := []byte(tok)
	if b[20] == 'a' {
		b[20] = 'b'
	} else {
		b[20] = 'a'
	}
	return string(b)
}

func TestALiveCallHearsNo481WhileNobodyCanBeAsked(t *testing.T) {
	t.Parallel()
	r := rejecting(404)
	r.inDialog = func(_ call.Slot, _ call.ID, _ call.Packet, done func(error)) { go done(errors.New("NATS is away")) }
	rig := start(t, settings(), r)
	bye := msg{method: "BYE", toTag: rig.keys.Mint(token.Call, 3, 33, "call-1")}
	rig.udp().send(bye.String())
	rig.seen.await(t, "dropped "+string(edge.DropNotTaken), 1) // the carrier repeats it
	if res := rig.tcp().ask(bye.String()); status(res) != "503" || header(res, "Retry-After") == "" {
		t.Errorf("over TCP: got %q", res)
	}
}

func TestACallThatNobodyTakesIsAnsweredForIt(t *testing.T) {
	t.Parallel()
	for why, want := range map[error]string{
		fmt.Errorf("ask: %w", actors.ErrNotMine): "481",
		fmt.Errorf("ask: %w", actors.ErrBusy):    "503",
	} {
		r := rejecting(404)
		r.inDialog = func(_ call.Slot, _ call.ID, _ call.Packet, done func(error)) { go done(why) }
		rig := start(t, settings(), r)
		tag := rig.keys.Mint(token.Call, 3, 33, "call-1")
		p := rig.udp()
		res := p.ask(msg{method: "BYE", toTag: tag}.String())
		if status(res) != want || (header(res, "Retry-After") != "") != (want == "503") {
			t.Errorf("%v: got %q", why, res)
		}
		p.send(msg{method: "ACK", toTag: tag}.String())
		rig.seen.await(t, "dropped "+string(edge.DropNotTaken), 1)
	}
}

func TestOptionsSayWhetherCallsAreTaken(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, connect func(*rig) *peer) {
		healthy := make(chan bool, 4)
		rig := start(t, settings(), rejecting(404), edge.WithHealth(func() bool { return <-healthy }))
		p := connect(rig)
		probe := msg{method: "OPTIONS", uri: "sip:sip.example"}.String()
		healthy <- true
		res := p.ask(probe)
		if status(res) != "200" || header(res, "Allow") != wire.Allow || header(res, "Accept") != "application/sdp" ||
			header(res, "Supported") != wire.Supported || header(res, "Accept-Encoding") != "identity" || toTag(res) == "" {
			t.Errorf("got %q", res)
		}
		healthy <- false
		if res = p.ask(probe); status(res) != "503" || header(res, "Retry-After") != "4" {
			t.Errorf("without NATS: %q", res)
		}
		rig.Drain()
		if res = p.ask(probe); status(res) != "503" || header(res, "Retry-After") != "4" {
			t.Errorf("while draining: %q", res)
		}
		rig.Resume()
		healthy <- true
		if res = p.ask(probe); status(res) != "200" {
			t.Errorf("after the drain: %q", res)
		}
	})
}

func TestADrainingEdgeTakesNoCallsAndServesDialogs(t *testing.T) {
	t.Parallel()
	served := make(chan struct{}, 1)
	r := rejecting(404)
	r.invite = func(endpoint.Invite, bool, call.Packet, func(edge.Outcome)) { t.Error("asked for a verdict") }
	r.inDialog = func(_ call.Slot, _ call.ID, _ call.Packet, done func(error)) { served <- struct{}{}; done(nil) }
	rig := start(t, settings(), r)
	rig.Drain()
	p := rig.udp()
	if res := p.ask(msg{method: "INVITE"}.String()); status(res) != "503" || header(res, "Retry-After") != "4" {
		t.Errorf("got %q", res)
	}
	p.send(msg{method: "INVITE", toTag: rig.keys.Mint(token.Call, 3, 33, "call-1")}.String())
	take(t, served)
}

// TestACopyOfAnInviteThatADrainingEdgeHasPassedOnGoesTheWayOfTheFirst: its 503
// would end the call that the first has begun.
func TestACopyOfAnInviteThatADrainingEdgeHasPassedOnGoesTheWayOfTheFirst(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 2)
	r := rejecting(0)
	r.invite = func(_ endpoint.Invite, _ bool, _ call.Packet, done func(edge.Outcome)) {
		asked <- struct{}{}
		done(edge.Outcome{Taken: true})
	}
	rig := start(t, settings(), r, edge.WithTaken(func(inv endpoint.Invite) bool { return inv.CallID == "call-1" && inv.CSeq == 1 }))
	rig.Drain()
	p := rig.udp()
	p.send(msg{method: "INVITE"}.String())
	take(t, asked)
	if res := p.ask(strings.ReplaceAll(msg{method: "INVITE"}.String(), "call-1", "call-2")); status(res) != "503" {
		t.Errorf("another INVITE: %q", res)
	}
}

func TestAStrangerMayHearNothing(t *testing.T) {
	t.Parallel()
	r := rejecting(404)
	r.invite = func(_ endpoint.Invite, _ bool, _ call.Packet, done func(edge.Outcome)) {
		done(edge.Outcome{Status: 404, Silent: true})
	}
	rig := start(t, settings(), r)
	p := rig.udp()
	p.send(msg{method: "INVITE"}.String())
	rig.seen.await(t, "dropped "+string(edge.DropSilent), 1)
	if res := p.ask(msg{method: "OPTIONS", callID: "later", branch: "z9hG4bKlater"}.String()); header(res, "Call-ID") != "later" {
		t.Errorf("the INVITE was answered: %q", res)
	}
}

func TestMethodsThatAreNotServedAre405AndUnknownOnes501(t *testing.T) {
	t.Parallel()
	rig := start(t, settings(), rejecting(404))
	p := rig.udp()
	for method, want := range map[string]string{"REGISTER": "405", "SUBSCRIBE": "405", "MESSAGE": "405", "REFER": "405", "NOTIFY": "405", "PUBLISH": "405",
		"NEWFANGLED": "501", "invite": "501"} {
		if res := p.ask(msg{method: method}.String()); status(res) != want || header(res, "Allow") == "" {
			t.Errorf("%s: got %q, want %s", method, res, want)
		}
	}
	p.send(msg{method: "ACK"}.String())
	rig.seen.await(t, "dropped "+string(edge.DropStrayAck), 1)
}

func TestTooManyPendingInvitesAre503(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.MaxPending = 2
	var waiting []func(edge.Outcome)
	asked := make(chan func(edge.Outcome), 4)
	r := rejecting(404)
	r.invite = func(_ endpoint.Invite, _ bool, _ call.Packet, done func(edge.Outcome)) { asked <- done }
	rig := start(t, cfg, r)
	p := rig.udp()
	for i := range 2 {
		p.send(msg{method: "INVITE", callID: fmt.Sprint(i)}.String())
		waiting = append(waiting, take(t, asked))
	}
	if res := p.ask(msg{method: "INVITE", callID: "more"}.String()); status(res) != "503" || header(res, "Retry-After") == "" {
		t.Errorf("got %q", res)
	}
	p.send(msg{method: "CANCEL", callID: "0"}.String())
	take(t, asked)(edge.Outcome{Taken: true})
	waiting[0](edge.Outcome{Status: 486})
	if got := status(p.read(patience)); got != "486" {
		t.Errorf("got %s", got)
	}
	waiting[0](edge.Outcome{Status: 486}) // a second outcome changes nothing
	p.send(msg{method: "INVITE", callID: "again"}.String())
	take(t, asked)(edge.Outcome{Status: 404})
	if got := status(p.read(patience)); got != "404" {
		t.Errorf("after room was made: %s", got)
	}
}

func TestAnOutcomeIsAnsweredAsItSays(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		outcome       edge.Outcome
		status, retry string
	}{
		"nobody filled it in":  {edge.Outcome{}, "500", ""},
		"no final status":      {edge.Outcome{Status: 180}, "500", ""},
		"an accept that is no": {edge.Outcome{Status: 200}, "500", ""},
		"busy":                 {edge.Outcome{Status: 486}, "486", ""},
		"503 without a time":   {edge.Outcome{Status: 503}, "503", "4"},
		"503 with a time":      {edge.Outcome{Status: 503, RetryAfter: 1500 * time.Millisecond}, "503", "2"},
	} {
		r := rejecting(0)
		r.invite = func(_ endpoint.Invite, _ bool, _ call.Packet, done func(edge.Outcome)) { done(tc.outcome) }
		res := start(t, settings(), r).udp().ask(msg{method: "INVITE"}.String())
		if status(res) != tc.status || header(res, "Retry-After") != tc.retry {
			t.Errorf("%s: got %q", name, res)
		}
	}
}

// A body that only its reader can tell to hold no SDP, as ISUP alone in a
// multipart one, is refused with what would do (RFC 3261 21.4.13).
func TestWhatIsNoOfferIsToldWhatWouldBeOne(t *testing.T) {
	t.Parallel()
	rig := start(t, settings(), rejecting(415))
	if got := rig.udp().ask(msg{method: "INVITE"}.String()); status(got) != "415" || header(got, "Accept") != "application/sdp" || strings.Count(got, "\nAccept:") != 1 {
		t.Errorf("got\n%s", got)
	}
}

func TestAPanicCostsOneMessage(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, connect func(*rig) *peer) {
		cfg := settings()
		cfg.MaxPending = 1
		r := rejecting(404)
		r.invite = func(inv endpoint.Invite, _ bool, _ call.Packet, done func(edge.Outcome)) {
			if inv.CallID == "bad" {
				panic("a fault")
			}
			done(edge.Outcome{Status: 404})
		}
		r.inDialog = func(call.Slot, call.ID, call.Packet, func(error)) { panic("a fault") }
		rig := start(t, cfg, r)
		p := connect(rig)
		if got := status(p.ask(msg{method: "INVITE", callID: "bad"}.String())); got != "500" {
			t.Errorf("the message that cost: %s", got)
		}
		p.send(msg{method: "BYE", toTag: rig.keys.Mint(token.Call, 3, 33, "call-1")}.String())
		if got := status(p.ask(msg{method: "INVITE"}.String())); got != "404" {
			t.Errorf("the next message: %s", got)
		}
		rig.seen.await(t, "panic dispatch", 2)
	})
}
