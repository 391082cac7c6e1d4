package e2e_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/e2e/rig"
)

// Baresip has us call another phone in its place: the endpoint's policy admits
// that. The agent goes on with the other, baresip is told and leaves.
func TestBaresipTransfersUs(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	both(t, func(t *testing.T, transport string) {
		phone := baresip{dir: t.TempDir(), transport: transport, sip: b.Port(t, 2), rtp: b.Port(t, 10), codec: "PCMU"}
		target := baresip{dir: t.TempDir(), transport: transport, sip: b.Port(t, 2), rtp: b.Port(t, 10), codec: "PCMU", more: ";answermode=auto"}
		phone.write(t, 700, 8000)
		target.write(t, 450, 8000)
		ep := b.endpoint(t, rig.Fields{"accept_refer": rig.Fields{}})
		r, other := phone.begin(t, b.Port(t, 2)), target.begin(t, b.Port(t, 2))
		r.tell("dial", b.URI(ep.Slug))
		v := b.talks(t, b.op.CallOf(t, ep, string(call.StateEstablished)).ID, word)
		r.tell("transfer", fmt.Sprintf("<sip:phone@127.0.0.1:%d;transport=%s>", target.sip, transport))
		other.expect("Call established")
		r.expect("terminated (duration:") // it has heard of the outcome
		b.talks(t, v.ID, word)
		other.tell("hangup", "")
		if rec := b.record(t, v.ID); rec.Cause.Word != "normal_clearing" || rec.EndedBy != call.ByCarrier || rec.Moved == nil || rec.Moved.How != "refer" {
			t.Errorf("the record: %+v, moved %+v", rec, rec.Moved)
		}
		said := r.quit() + other.quit()
		if told := r.notified(); len(told) < 2 || told[0] != "SIP/2.0 100 Trying" || told[len(told)-1] != "SIP/2.0 200 OK" { // a 180 may be overtaken
			t.Errorf("baresip was told %q", told)
		}
		mine, theirs := phone.calls(t), target.calls(t)
		if len(mine) != 1 || len(theirs) != 1 {
			t.Fatalf("the phones heard %d and %d calls, want 1 and 1:\n%s", len(mine), len(theirs), said)
		}
		hears(t, "baresip", mine[0], 700, 8000, time.Second)
		hears(t, "the target", theirs[0], 450, 8000, 1500*time.Millisecond)
	})
	b.Idle(t, settle)
}

// Baresip talks to us and to a friend, and has us take its place there: our
// INVITE has the Replaces that it asks for. Menu and command of baresip 1.0.0
// know no such transfer, but its REFER says whatever Refer-To it is told. The
// friend is our own client, for baresip would not know Replaces.
func TestBaresipHasUsTakeItsCallWithAFriendOver(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	friend := rig.NewCallee(t, rig.Loopback())
	phone := baresip{dir: t.TempDir(), transport: "udp", sip: b.Port(t, 2), rtp: b.Port(t, 10), codec: "PCMU", lines: 2}
	phone.write(t, 700, 8000)
	ep := b.endpoint(t, rig.Fields{"accept_refer": rig.Fields{}})
	r := phone.begin(t, b.Port(t, 2))
	r.tell("dial", b.URI(ep.Slug))
	v := b.talks(t, b.op.CallOf(t, ep, string(call.StateEstablished)).ID, word/4)
	r.tell("dial", friend.URI("friend"))
	first := friend.Next("INVITE")
	before := first.Answer("a")
	before.Heard(25)
	replaces := r.dialogue("friend")
	r.tell("line", "1")
	r.tell("transfer", fmt.Sprintf("<%s?Replaces=%s>", friend.URI("friend"), url.QueryEscape(replaces)))
	invite := friend.Next("INVITE")
	if got := invite.Header("Replaces"); got != replaces || strings.Contains(invite.Line(), "?") || invite.Header("Call-ID") == first.Header("Call-ID") {
		t.Errorf("our INVITE asks for %q, want %q\n%s", got, replaces, invite.Response)
	}
	talk := invite.Answer("b")
	before.Bye(first.From) // as whoever is replaced does (RFC 3891 3)
	talk.Heard(50)
	r.expect("terminated (duration:")
	b.talks(t, v.ID, word/4)
	talk.Bye(b.SIP)
	if rec := b.record(t, v.ID); rec.Cause.Word != "normal_clearing" || rec.EndedBy != call.ByCarrier || rec.Moved == nil || rec.Moved.How != "refer" {
		t.Errorf("the record: %+v, moved %+v", rec, rec.Moved)
	}
	r.quit()
	b.Idle(t, settle)
}
