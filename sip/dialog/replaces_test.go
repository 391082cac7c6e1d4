package dialog_test

import (
	"fmt"
	"strings"
	"testing"

	"patchbay/actors/call"
)

// secondCallID is the Call-ID of whoever takes a call over.
const secondCallID = "second@pbx.example"

func (p *peer) id() string {
	if p.callID == "" {
		return "ladder@carrier.example"
	}
	return p.callID
}

func (p *peer) fromTag() string {
	if p.tag == "" {
		return "f1"
	}
	return p.tag
}

// receiveSecond plays a row of the second carrier: "B INVITE replaces" asks to
// take the call over, from somebody who may. replaces=early says early-only.
func (s *sim) receiveSecond(text string) {
	s.t.Helper()
	if s.second == nil {
		sc := s.peer.scene
		sc.contact = "<sip:bob@192.0.2.30:5070>"
		s.second = newPeer(sc)
		s.second.callID, s.second.tag = secondCallID, "f2"
	}
	method, _, _ := strings.Cut(text, " ")
	if s.second.toTag == "" && s.peer.target != "" {
		s.second.requestURI = s.peer.target
	}
	p := s.second.packet(s.t, strings.Replace(text, " replaces", "", 1))
	if !strings.Contains(text, " replaces") || strings.Contains(text, " again") {
		s.receive(p)
		return
	}
	at := strings.Index(string(p.Raw), "Content-Length:")
	p.Raw = fmt.Appendf(nil, "%sReplaces: ladder@carrier.example;to-tag=%s;from-tag=f1\r\n%s", p.Raw[:at], s.peer.toTag, p.Raw[at:])
	s.second.sent[method] = p
	asks := s.factory.Replaces(p)
	if asks == nil || !asks.Names(call.DialogID{CallID: "ladder@carrier.example", OurTag: s.peer.toTag, TheirTag: "f1"}) {
		s.t.Fatalf("%q does not name the dialog: %+v", text, asks)
	}
	d, inv, err := s.factory.New(s.at(), 0x1122334455667788, p)
	if err != nil {
		s.t.Fatal(err)
	}
	s.carryOut(s.machine.HandleReplacing(s.at(), d, call.Event{Kind: call.CarrierReplaces, Offer: inv.Offer, Source: p.Flow.Remote.Addr(),
		Mover: &call.Moved{How: call.MovedByReplaces, To: inv.From, SIPCallID: inv.Key.CallID, Source: inv.Source}}))
}

func moverText(m *call.Moved) string {
	if m == nil {
		return ""
	}
	return fmt.Sprintf("%s to %s (%d)", m.How, m.SIPCallID, m.Times)
}

func TestWhatAnInviteReplacesIsReadAsItsSenderSeesIt(t *testing.T) {
	t.Parallel()
	f := newFactory(t, "")
	p := newPeer(sceneOf(nil)).packet(t, "INVITE")
	if asks := f.Replaces(p); asks != nil {
		t.Errorf("an INVITE without Replaces asks for %+v", asks)
	}
	for value, want := range map[string]call.Replacing{
		"a@b;to-tag=Ours;from-tag=theirs":           {Dialog: call.DialogID{CallID: "a@b", OurTag: "Ours", TheirTag: "theirs"}},
		"a@b ; early-only;from-tag=0 ; to-tag=ours": {Dialog: call.DialogID{CallID: "a@b", OurTag: "ours", TheirTag: "0"}, EarlyOnly: true},
		"98732@x;FROM-TAG=r33th4x0r;To-Tag=ff87ff":  {Dialog: call.DialogID{CallID: "98732@x", OurTag: "ff87ff", TheirTag: "r33th4x0r"}},
	} {
		at := strings.Index(string(p.Raw), "Content-Length:")
		raw := fmt.Sprintf("%sReplaces: %s\r\nRequire: replaces\r\n%s", p.Raw[:at], value, p.Raw[at:])
		got := f.Replaces(call.Packet{Flow: p.Flow, Raw: []byte(raw)})
		if got == nil || got.Dialog != want.Dialog || got.EarlyOnly != want.EarlyOnly || got.CallID != "ladder@carrier.example" || got.CSeq != 1 || got.FromTag != "f1" {
			t.Errorf("%q: got %+v, want %+v", value, got, want)
		}
		if got.Dialog.TheirTag == "0" && !got.Names(call.DialogID{CallID: "a@b", OurTag: "OURS"}) {
			t.Error("0 does not stand for no tag")
		}
	}
}
