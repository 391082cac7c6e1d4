package e2e_test

import (
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/control"
	"patchbay/e2e/rig"
)

// calls are what baresip heard in each of its calls, in their order. A file's
// name has the second in which its call began: calls must be a second apart.
func (b baresip) calls(t *testing.T) (heard [][]int16) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(b.dir, "dump-*-dec.wav"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		heard = append(heard, readWAV(t, path))
	}
	return heard
}

// talks waits until a call is established and so many packets have gone each way
// since it was last looked at, and returns it.
func (b *bed) talks(t *testing.T, id call.ID, packets uint64) control.CallView {
	t.Helper()
	var first, now control.CallView
	rig.Until(t, settle, func() (string, bool) {
		now = control.CallView{}
		if err := b.op.Try("call", "get", control.ID{ID: id.String()}, &now); err != nil {
			return err.Error(), false
		}
		if first.ID == 0 && now.State == string(call.StateEstablished) {
			first = now
		}
		in, out := now.Quality.PacketsReceived-first.Quality.PacketsReceived, now.Quality.PacketsSent-first.Quality.PacketsSent
		return fmt.Sprintf("%d packets each way: it is %s, %d came and %d went", packets, now.State, in, out), first.ID != 0 && in >= packets && out >= packets
	})
	return now
}

// word is how long two parties talk: 2 s.
const word = 100

// The operator has baresip call another endpoint: it does, says how that goes,
// and is heard there. Behind Kamailio the REFER comes by both Record-Routes.
func TestBaresipIsTransferred(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	k := b.Kamailio(t, b.SIP.String()+";transport=tcp")
	names := []string{"over udp", "over tcp", "behind Kamailio"}
	rig.Together(t, len(names), names, func(t *testing.T, name string) {
		transport, found := strings.CutPrefix(name, "over ")
		at := b.SIP
		if !found {
			transport, at = "udp", k.At
		}
		phone := baresip{dir: t.TempDir(), transport: transport, sip: b.Port(t, 2), rtp: b.Port(t, 10), codec: "PCMU", lines: 2}
		phone.write(t, 700, 8000)
		from, to := b.endpoint(t, nil), b.endpoint(t, nil)
		r := phone.begin(t, b.Port(t, 2))
		r.tell("dial", fmt.Sprintf("sip:%s@%s", from.Slug, at))
		first := b.talks(t, b.op.CallOf(t, from, string(call.StateEstablished)).ID, word)
		target := fmt.Sprintf("sip:%s@%s;transport=%s", to.Slug, b.SIP, transport)
		b.op.Do(t, "call", "transfer", control.CallTransfer{ID: first.ID.String(), To: target}, nil)
		second := b.talks(t, b.op.CallOf(t, to, string(call.StateEstablished)).ID, word)
		left := b.record(t, first.ID)
		if tr := left.Transfer; left.Cause.Word != "transferred" || tr == nil || tr.State != call.TransferDone || tr.Status != 200 {
			t.Errorf("the call that was transferred: %+v, %+v", left, tr)
		}
		r.tell("hangup", "")
		if end := b.record(t, second.ID); end.Cause.Word != "normal_clearing" || end.EndedBy != call.ByCarrier {
			t.Errorf("the call to the target: %+v", end)
		}
		said := r.quit()
		ours := append(r.requests("REFER"), r.requests("BYE")...)
		if len(ours) != 3 { // the last is its own
			t.Fatalf("REFER, our BYE and baresip's: %q", ours)
		}
		for _, m := range ours[:2] {
			if !found && (m.Header("X-Routes") != "2" || len(m.All("Via")) != 2) {
				t.Errorf("Kamailio passed this on without two Routes:\n%s", m)
			}
		}
		if told := r.notified(); fmt.Sprint(told) != "[SIP/2.0 100 Trying SIP/2.0 200 OK]" {
			t.Errorf("baresip told %q:\n%s", told, said)
		}
		heard := phone.calls(t)
		if len(heard) != 2 {
			t.Fatalf("baresip heard %d calls, want 2:\n%s", len(heard), said)
		}
		for i, pcm := range heard {
			hears(t, []string{"baresip", "baresip at the target"}[i], pcm, 700, 8000, 1500*time.Millisecond)
		}
	})
	b.Idle(t, settle)
}

// notified is what NOTIFYs told, that baresip sent or got: how a transfer goes.
func (r *remote) notified() (told []string) {
	for _, n := range r.requests("NOTIFY") {
		_, body, _ := strings.Cut(string(n), "\r\n\r\n")
		told = append(told, strings.TrimSpace(body))
	}
	return told
}

// record waits for the record of a call.
func (b *bed) record(t *testing.T, id call.ID) call.Record {
	t.Helper()
	var rec call.Record
	rig.Until(t, settle, func() (string, bool) {
		err := b.op.Try("record", "get", control.ID{ID: id.String()}, &rec)
		return fmt.Sprintf("the record of call %s: %v", id, err), err == nil
	})
	return rec
}

// Two phones are in two calls of one account; the first is asked to take the
// second's place for us (RFC 5589 7). Debian's baresip is 1.0.0, which knows no
// Replaces: it calls the phone it is sent to with the header field still in the
// Request-URI, and that phone takes a second call beside ours. So both talk, and
// it is left to us to end our call with the second.
func TestBaresipIsTransferredToAnotherThatWeTalkTo(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	caller := baresip{dir: t.TempDir(), transport: "udp", sip: b.Port(t, 2), rtp: b.Port(t, 10), codec: "PCMU", lines: 2}
	called := baresip{dir: t.TempDir(), transport: "udp", sip: b.Port(t, 2), rtp: b.Port(t, 10), codec: "PCMU", lines: 2, more: ";answermode=auto"}
	caller.write(t, 700, 8000)
	called.write(t, 450, 8000)
	from := b.endpoint(t, nil)
	r, other := caller.begin(t, b.Port(t, 2)), called.begin(t, b.Port(t, 2))
	r.tell("dial", b.URI(from.Slug))
	first := b.talks(t, b.op.CallOf(t, from, string(call.StateEstablished)).ID, word)
	second := b.placeWhere(t, "udp", called.sip, fmt.Sprintf("sip:phone@127.0.0.1:%d", called.sip))
	b.talks(t, second.ID, word)
	b.op.Do(t, "call", "transfer", control.CallTransfer{ID: first.ID.String(), Replaces: second.ID.String()}, nil)
	left := b.record(t, first.ID)
	if tr := left.Transfer; left.Cause.Word != "transferred" || tr == nil || tr.State != call.TransferDone || tr.Call != second.ID {
		t.Errorf("the call that was transferred: %+v, %+v", left, tr)
	}
	time.Sleep(2 * time.Second) // of tone, from phone to phone
	b.op.Do(t, "call", "hangup", control.ID{ID: second.ID.String()}, nil)
	b.ended(t, second.ID, 200, call.CauseOperator, call.ByOperator)
	r.tell("hangup", "")
	other.expect("terminated (duration:")
	said := r.quit() + other.quit()
	asked := other.requests("INVITE")
	if len(asked) < 2 || strings.Count(said, "Refer-To: <sip:phone-") != 1 || !strings.Contains(said, "?Replaces=") {
		t.Fatalf("the target was sent these INVITEs: %q", asked)
	}
	if last := asked[1]; !strings.Contains(last.Line(), "?Replaces=") || last.Header("Replaces") != "" {
		t.Errorf("baresip knows Replaces by now: this test may ask for more\n%s", last)
	}
	mine, theirs := caller.calls(t), called.calls(t)
	if len(mine) != 2 || len(theirs) != 2 {
		t.Fatalf("the phones heard %d and %d calls, want 2 and 2:\n%s", len(mine), len(theirs), said)
	}
	hears(t, "baresip", mine[1], 450, 8000, time.Second)
	hears(t, "the target", theirs[1], 700, 8000, time.Second)
	b.Idle(t, settle)
}

// REFER from a carrier is refused where no policy says otherwise. Baresip 1.0.0
// ends its call then.
func TestBaresipMayNotTransferUs(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	phone := baresip{dir: t.TempDir(), transport: "udp", sip: b.Port(t, 2), rtp: b.Port(t, 10), codec: "PCMU"}
	phone.write(t, 700, 8000)
	ep := b.endpoint(t, nil)
	r := phone.begin(t, b.Port(t, 2))
	r.tell("dial", b.URI(ep.Slug))
	v := b.talks(t, b.op.CallOf(t, ep, string(call.StateEstablished)).ID, word/4)
	r.tell("transfer", fmt.Sprintf("<sip:bob@127.0.0.1:%d>", b.media))
	r.expect("call: transfer failed: 603 Decline")
	if rec := b.record(t, v.ID); rec.Cause.Word != "normal_clearing" || rec.EndedBy != call.ByCarrier {
		t.Errorf("the record: %+v", rec)
	}
	r.quit()
	b.Idle(t, settle)
}

// dialogue names the dialog of a call that baresip began with an answered
// INVITE, as Replaces in a Refer-To does: of the requests to that address, the
// ACK's tags (RFC 3891 3, RFC 3515 2.1).
func (r *remote) dialogue(with string) (replaces string) {
	r.t.Helper()
	rig.Until(r.t, settle, func() (string, bool) {
		for _, ack := range r.requests("ACK") {
			_, from, _ := strings.Cut(ack.Header("From"), ";tag=")
			if strings.Contains(ack.Header("To"), with) && from != "" {
				replaces = ack.Header("Call-ID") + ";to-tag=" + ack.ToTag() + ";from-tag=" + from
			}
		}
		return "baresip acknowledges the answer of " + with, replaces != ""
	})
	return replaces
}

// Baresip talks to a friend and to us, and has the friend take its place in our
// call (RFC 5589 7): it asks for an INVITE with Replaces, which our own client
// sends for the friend, for baresip 1.0.0 would not. Our call goes on with its
// agent; baresip's side of it is over.
func TestBaresipHasAFriendTakeItsCallOver(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	friend := rig.NewCallee(t, rig.Loopback())
	phone := baresip{dir: t.TempDir(), transport: "udp", sip: b.Port(t, 2), rtp: b.Port(t, 10), codec: "PCMU", lines: 2}
	phone.write(t, 700, 8000)
	ep := b.endpoint(t, nil)
	r := phone.begin(t, b.Port(t, 2))
	r.tell("dial", friend.URI("friend"))
	talk := friend.Next("INVITE").Answer("a")
	talk.Heard(50)
	r.tell("dial", b.URI(ep.Slug))
	v := b.talks(t, b.op.CallOf(t, ep, string(call.StateEstablished)).ID, word/2)
	replaces := r.dialogue(ep.Slug)
	r.tell("line", "1")
	r.tell("transfer", fmt.Sprintf("<%s?Replaces=%s>", b.URI(ep.Slug), url.QueryEscape(replaces)))
	refer := friend.Next("REFER")
	refer.Reply("202 Accepted", "", "")
	to, asked, _ := strings.Cut(strings.Trim(refer.Header("Refer-To"), "<>"), "?Replaces=")
	if said, err := url.QueryUnescape(asked); err != nil || said != replaces {
		t.Fatalf("baresip asks for %q, %v", refer.Header("Refer-To"), err)
	}
	carrier := rig.NewCarrier(t, "udp", rig.Loopback(), []netip.AddrPort{b.SIP})
	d := carrier.Dial(to, 0).With("Replaces: "+replaces, "Require: replaces", "Referred-By: <sip:phone@127.0.0.1>")
	if !d.Invite(rig.Way{Sound: true}) {
		t.Fatalf("the friend may not take the call over: %+v", d.Close())
	}
	rig.WaitFor(t, settle, "the friend hears the agent", func() bool { return d.Sound().Heard >= word/2 })
	rig.Until(t, settle, func() (string, bool) {
		byes := r.requests("BYE")
		return fmt.Sprintf("baresip's side is ended by us: %q", byes), len(byes) == 1 && byes[0].Header("Call-ID") == v.CallID
	})
	if now := b.talks(t, v.ID, word/4); now.ID != v.ID {
		t.Errorf("the call is now %+v", now)
	}
	d.Bye()
	if out := d.Close(); out.Fault != "" || out.Bye != 200 {
		t.Errorf("%+v", out)
	}
	if rec := b.record(t, v.ID); rec.Cause.Word != "normal_clearing" || rec.EndedBy != call.ByCarrier || rec.Moved == nil || rec.Moved.How != "replaces" || rec.Moved.SIPCallID != d.CallID() {
		t.Errorf("the record: %+v, moved %+v", rec, rec.Moved)
	}
	talk.Notify(refer.From, "SIP/2.0 200 OK")
	friend.Next("BYE").Reply("200 OK", "", "")
	r.quit()
	b.Idle(t, settle)
}
