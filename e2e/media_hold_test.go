package e2e_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/control"
	"patchbay/e2e/rig"
)

// sdpOf is a carrier's description at a port of 127.0.0.1, of that version.
func sdpOf(port, version int, direction string) string {
	text := strings.Replace(rig.Offer(port), "o=- 1 1 ", fmt.Sprintf("o=- 1 %d ", version), 1)
	return strings.Replace(text, "a=sendrecv", "a="+direction, 1)
}

// change sends a re-INVITE or an UPDATE and fails the test unless it gets 200
// with that direction. The 200 is acknowledged.
func (c *talk) change(t *testing.T, method string, cseq int, body, direction string) rig.Response {
	t.Helper()
	r := c.invite.Within(c.answer, method, cseq)
	r.Body = body
	answer := c.Final(r)
	if answer.Status() != 200 || !strings.Contains(string(answer), "a="+direction+"\r\n") {
		t.Errorf("%s with version %d got\n%s\nwant 200 and %s", method, cseq, answer, direction)
	}
	if method == "INVITE" {
		c.Send(c.invite.Within(c.answer, "ACK", cseq))
	}
	return answer
}

// chat says count packets, one each 20 ms.
func (v *voice) chat(t *testing.T, to *net.UDPAddr, count int) {
	t.Helper()
	for range count {
		v.say(t, to, carrierWord)
		time.Sleep(20 * time.Millisecond)
	}
}

func TestACarrierHoldsMovesAndResumes(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	w := s.worker(t, []string{"PCMU"}, nil, echo)
	ep := s.endpoint(t, w)
	here, there := s.Port(t, 2), s.Port(t, 2)
	carrier, reports, moved := speakAt(t, "127.0.0.1", here), speakAt(t, "127.0.0.1", here+1), speakAt(t, "127.0.0.1", there)
	c, node := s.place(t, ep.Slug, here)
	took := w.next(t)
	events := took.events(t)
	carrier.chat(t, node, 50)
	rig.WaitFor(t, settle, "the carrier hears the agent", func() bool { return len(carrier.packets()) >= 40 })

	c.change(t, "INVITE", 2, sdpOf(here, 2, "sendonly"), "recvonly")
	took.expect(t, "call.held")
	expectNote(t, events, "over NATS", "call.held")
	if live := s.op.CallOf(t, ep, "established"); !live.OnHold {
		t.Error("the call is not shown as on hold")
	}
	time.Sleep(500 * time.Millisecond) // what was on its way
	before, agentHeard, told := len(carrier.packets()), len(took.packets()), len(reports.reported())
	carrier.chat(t, node, 300) // 6 s: more than RTCP's interval
	if n := len(carrier.packets()) - before; n != 0 {
		t.Errorf("a carrier on hold was sent %d packets", n)
	}
	rig.WaitFor(t, settle, "of 300 packets that the carrier played the agent hears 290", func() bool { return len(took.packets())-agentHeard >= 290 })
	rig.WaitFor(t, settle, "a carrier on hold gets RTCP", func() bool { return len(reports.reported()) > told })

	c.change(t, "UPDATE", 3, sdpOf(there, 3, "sendrecv"), "sendrecv")
	took.expect(t, "call.resumed")
	expectNote(t, events, "over NATS", "call.resumed")
	before = len(carrier.packets())
	moved.ssrc = 0x7654321
	moved.chat(t, node, 50)
	rig.WaitFor(t, settle, "the carrier hears the agent where it is now", func() bool { return words(moved.packets())[carrierWord] >= 40 })
	if n := len(carrier.packets()) - before; n != 0 {
		t.Errorf("%d packets went to where the carrier was", n)
	}
	refused := c.invite.Within(c.answer, "INVITE", 4)
	refused.Body = strings.ReplaceAll(sdpOf(there, 4, "sendrecv"), "RTP/AVP 0 8 101", "RTP/AVP 9 101")
	if got := c.Final(refused); got.Status() != 488 {
		t.Errorf("an offer without the call's codec got %q", got.Line())
	} else {
		c.Send(refused.AckOf(got))
	}
	before = len(moved.packets())
	moved.chat(t, node, 20)
	rig.WaitFor(t, settle, "the call goes on", func() bool { return len(moved.packets()) >= before+15 })
	c.bye(t)
	if end := ended(t, s.Node, string(ep.Key)); end.Cause != "normal_clearing" || end.Rejected != 0 {
		t.Errorf("the call ended for %s, %d packets were rejected", end.Cause, end.Rejected)
	}
}

func TestASilentCarrierOnHoldIsNotGone(t *testing.T) {
	t.Parallel()
	s := newStage(t, rig.Settings{"media.rtp_silence_timeout": "4s", "media.first_rtp_timeout": "4s"})
	w := s.worker(t, []string{"PCMU"}, nil, echo)
	ep := s.endpoint(t, w)
	port := s.Port(t, 2)
	carrier := speakAt(t, "127.0.0.1", port)
	c, node := s.place(t, ep.Slug, port)
	carrier.chat(t, node, 10)
	c.change(t, "INVITE", 2, sdpOf(port, 2, "inactive"), "inactive")
	c.Silent(6*time.Second, "a BYE of a carrier on hold", is("BYE"))
	c.change(t, "INVITE", 3, sdpOf(port, 3, "sendrecv"), "sendrecv")
	bye := c.Expect("BYE of a carrier that is silent after it resumed", is("BYE"))
	c.Reply(bye)
	if end := ended(t, s.Node, string(ep.Key)); end.Cause != "rtp_timeout" {
		t.Errorf("the call ended for %s", end.Cause)
	}
}

func TestACarrierThatOffersInItsAckIsHeard(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	w := s.worker(t, []string{"PCMA"}, nil, echo)
	ep := s.endpoint(t, w)
	port := s.Port(t, 2)
	carrier := speakAt(t, "127.0.0.1", port)
	carrier.codec = 8
	c := &talk{Peer: s.Dial(t, "udp"), invite: rig.Request{Method: "INVITE", URI: s.URI(ep.Slug)}.Fresh()}
	c.answer = c.Final(c.invite)
	node := mediaOf(t, c.answer)
	ack := c.invite.Within(c.answer, "ACK", 1)
	ack.Body = strings.ReplaceAll(sdpOf(port, 1, "sendrecv"), "RTP/AVP 0 8 101", "RTP/AVP 8")
	c.Send(ack)
	took := w.next(t)
	took.connected(t)
	carrier.chat(t, node, 50)
	rig.WaitFor(t, settle, "the carrier hears the agent", func() bool { return words(carrier.packets())[carrierWord] >= 40 })
	rig.WaitFor(t, settle, "of 50 packets the agent hears 45", func() bool { return words(took.packets())[carrierWord] >= 45 })
	c.bye(t)
	if end := ended(t, s.Node, string(ep.Key)); end.Cause != "normal_clearing" || end.Codec != "PCMA" {
		t.Errorf("the call ended for %s, with %s", end.Cause, end.Codec)
	}
}

func TestSIPpHoldsResumesAndOffersLate(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	both(t, func(t *testing.T, transport string) {
		for _, file := range []string{"holds-and-resumes", "offers-late", "offers-late-unanswered"} {
			b.Play(t, rig.Scenario{File: file, Transport: transport, User: b.endpoint(t, nil).Slug})
		}
	})
	b.Idle(t, settle)
}

func TestACarrierThatWasCalledHoldsAndResumes(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	callee := rig.NewCallee(t, rig.Loopback())
	v := b.place(t, control.NewCall{To: callee.URI("bob")})
	talk := callee.Next("INVITE").Answer("a")
	talk.Heard(50)
	held := func() bool {
		var got control.CallView
		return b.op.Try("call", "get", control.ID{ID: v.ID.String()}, &got) == nil && got.OnHold
	}
	for _, method := range []string{"INVITE", "UPDATE"} {
		if got := talk.Change(b.SIP, method, "sendonly"); got.Status() != 200 || !strings.Contains(string(got), "a=recvonly\r\n") {
			t.Fatalf("%s got\n%s\nwant 200 and recvonly", method, got)
		}
		if !held() {
			t.Errorf("after %s the call is not on hold", method)
		}
		time.Sleep(500 * time.Millisecond) // what was on its way
		before := talk.Count()
		time.Sleep(time.Second)
		if n := talk.Count() - before; n != 0 {
			t.Errorf("after %s the carrier got %d packets on hold", method, n)
		}
		if got := talk.Change(b.SIP, method, "sendrecv"); got.Status() != 200 || !strings.Contains(string(got), "a=sendrecv\r\n") || held() {
			t.Fatalf("%s got\n%s\nwant 200 and sendrecv", method, got)
		}
		talk.Heard(before + 50)
	}
	talk.Bye(b.SIP)
	if rec := b.ended(t, v.ID, 200, call.CauseNormal, call.ByCarrier); rec.Holds != 2 || rec.HeldMs < 2000 {
		t.Errorf("the record tells of %d holds of %d ms", rec.Holds, rec.HeldMs)
	}
	b.Idle(t, settle)
}
