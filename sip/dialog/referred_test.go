package dialog_test

import (
	"strconv"
	"strings"
	"testing"

	"patchbay/actors/call"
)

// targetTag is the tag of whom a carrier has us call.
const targetTag = "t1"

// hear lets the one concerned hear our message, and returns what its rows begin
// with.
func (s *sim) hear(callID, raw string) (prefix string) {
	switch callID {
	case secondCallID:
		s.second.hear(raw)
		return "B "
	case s.peer.id():
		s.peer.hear(raw)
		return ""
	}
	t := s.targets[callID]
	if t == nil {
		sc := s.peer.scene
		sc.contact = "<sip:target@192.0.2.40:5060>"
		t = newPeer(sc)
		_, ours, _ := strings.Cut(header(raw, "From"), ";tag=")
		t.callID, t.tag, t.toTag = callID, targetTag, ours
		t.target = strings.Trim(header(raw, "Contact"), "<>")
		if s.targets == nil {
			s.targets = map[string]*peer{}
		}
		s.targets[callID], s.target = t, t
	}
	t.hear(raw)
	return "T "
}

// fromOthers plays a row of somebody other than the carrier.
func (s *sim) fromOthers(text string) bool {
	if second, ok := strings.CutPrefix(text, "B "); ok {
		s.receiveSecond(second)
		return true
	}
	if target, ok := strings.CutPrefix(text, "T "); ok {
		s.receive(s.target.packet(s.t, target))
		return true
	}
	return false
}

// ruled plays what the policy says to a REFER: "referral allowed", "referral
// refused 403", and reports that the row is that.
func (s *sim) ruled(text string) bool {
	words := strings.Fields(text)
	if words[0] != "referral" || s.asked == nil {
		return words[0] == "referral"
	}
	r := s.asked
	s.asked = nil
	if words[1] == "refused" {
		status, _ := strconv.Atoi(words[2])
		s.tell(call.Event{Kind: call.ReferralRuled, Status: status, Reason: call.ReasonTargetNotAllowed})
		return true
	}
	s.nth++
	caller, inv, err := s.factory.Call(0x1122334455667788, call.Outgoing{To: r.To, From: "sip:desk@patchbay.example", Nth: s.nth,
		Replaces: r.Replaces, ReferredBy: r.ReferredBy, Headers: r.Headers, Edge: "edge-1"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.carryOut(s.machine.HandleReferral(s.at(), caller, inv.To, call.Event{Kind: call.ReferralRuled}))
	return true
}

// referralOf are the header fields of a REFER: "to=sip:x@y", "by=sip:a@b",
// "sub=false".
func referralOf(options map[string]string) (all []string) {
	for option, name := range map[string]string{"to": "Refer-To", "by": "Referred-By"} {
		if v, ok := options[option]; ok {
			all = append(all, name+": <"+v+">")
		}
	}
	if v, ok := options["sub"]; ok {
		all = append(all, "Refer-Sub: "+v)
	}
	return all
}

func TestWhatAReferAsksForIsReadWithCare(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"REFER to=sip:bob@192.0.2.40":               "asked about sip:bob@192.0.2.40",
		"REFER to=sip:bob@192.0.2.40;method=INVITE": "asked about sip:bob@192.0.2.40;method=INVITE",
		"REFER to=sip:bob@192.0.2.40;method=BYE":    "603 Decline to REFER",
		"REFER to=tel:+15551000":                    "416 Unsupported URI Scheme to REFER",
		"REFER to=sip:":                             "400 Bad Request to REFER",
		"REFER":                                     "400 Bad Request to REFER",
		"REFER to=sip:bob@h?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2":       "asked about sip:bob@h",
		"REFER to=sip:bob@h?Replaces=a%40b":                                   "400 Bad Request to REFER",
		"REFER to=sip:bob@h?X-A=%0D%0AVia%3Ax&Route=%3Csip%3Aevil%3E&X-B=two": "asked about sip:bob@h",
		"REFER to=sip:bob@h?Replaces=%ZZ":                                     "400 Bad Request to REFER",
	} {
		s := newSim(t, sceneOf(map[string]string{"refers": "yes"}))
		s.do(step{from: carrier, text: "INVITE"})
		s.do(step{from: agent, text: "joined PCMU"})
		s.do(step{from: carrier, text: "ACK"})
		s.do(step{from: carrier, text: text})
		if !strings.Contains(s.String(), want) {
			t.Errorf("%q: want %q in\n%s", text, want, s.String())
		}
		if r := s.asked; strings.Contains(text, "X-B") && (r == nil || len(r.Headers) != 1 || r.Headers[0] != call.Header{Name: "X-B", Value: "two"}) {
			t.Errorf("planted header fields: %+v", r)
		}
	}
}
