package e2e_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtp"

	"patchbay/actors/call"
	"patchbay/control"
	"patchbay/e2e/rig"
	"patchbay/internal/tone"
)

// early begins a call that is not answered at once and returns it with its 183.
func (s *stage) early(t *testing.T, ep control.EndpointView, port int, headers ...string) (c *talk, progress rig.Response) {
	t.Helper()
	c = &talk{Peer: s.Dial(t, "udp"), invite: rig.Request{Method: "INVITE", URI: s.URI(ep.Slug), Body: rig.Offer(port), Headers: headers}.Fresh()}
	c.Send(c.invite)
	progress = c.Status(183, "INVITE")
	if progress.Header("Content-Type") != "application/sdp" {
		t.Fatalf("the 183 has no SDP:\n%s", progress)
	}
	return c, progress
}

// speaks has the agent say a tone until the function returned is called.
func (c *session) speaks(freq float64) (stop func()) {
	var over atomic.Bool
	go func() {
		said := steady("PCMU", freq)
		for seq := 0; !over.Load(); seq++ {
			_ = c.track.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: uint16(seq), Timestamp: uint32(160 * seq)}, Payload: said(seq)})
			time.Sleep(20 * time.Millisecond) // real: the carrier listens
		}
	}()
	return func() { over.Store(true) }
}

// toneOf is how many packets in a row of one tone count as heard.
const toneOf = 40

// heardTone waits until a carrier, since it had heard so many packets, has been
// sent 0.8 s of a tone.
func heardTone(t *testing.T, who string, v *voice, freq float64, since int) {
	t.Helper()
	best := 0.0
	rig.Until(t, settle, func() (string, bool) {
		for all := v.packets(); since+toneOf <= len(all); since++ {
			var pcm []int16
			for _, p := range all[since : since+toneOf] {
				pcm = append(pcm, tone.DecodePCMU(p.Payload)...)
			}
			if best = max(best, tone.Share(pcm, freq, 8000)); best >= 0.8 {
				return "", true
			}
		}
		return fmt.Sprintf("%s hears %v Hz: of %d packets %.2f is that at best", who, freq, since+toneOf, best), false
	})
}

// body is what follows a message's header.
func body(r rig.Response) string {
	_, text, _ := strings.Cut(string(r), "\r\n\r\n")
	return text
}

// recordOf waits for the record of a call.
func (s *stage) recordOf(t *testing.T, c *talk) (rec call.Record) {
	t.Helper()
	rig.WaitFor(t, settle, "the record", func() bool {
		all, err := s.op.Records()
		if err != nil || len(all[c.invite.CallID]) == 0 {
			return false
		}
		rec = all[c.invite.CallID][0]
		return true
	})
	return rec
}

func TestWhatACallerHearsBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	for name, f := range map[string]func(*testing.T, *stage){
		"ringing of ours":                   ringingUntilTheAnswer,
		"an agent that answers":             anAgentThatAnswers,
		"an agent that refuses":             anAgentThatRefuses,
		"an agent that says nothing":        anAgentThatSaysNothing,
		"no 200 before the PRACK":           no200BeforeThePrack,
		"the carrier gives up":              theCarrierGivesUp,
		"an answer to an offer in the 183":  anOfferInThe183,
		"the next agent, after a lost one ": theNextAgent,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, s)
		})
	}
}

func ringingUntilTheAnswer(t *testing.T, s *stage) {
	w := s.worker(t, []string{"PCMU"}, rig.Fields{"webrtc": rig.Fields{"connector": "nats", "timeout_ms": 20_000}}, nil)
	w.gate = make(chan struct{})
	ep := s.op.Endpoint(t, w.view.ID, rig.Fields{"early_media": "ringback", "ringback_tone": "eu"})
	port := s.Port(t, 2)
	carrier := speakAt(t, "127.0.0.1", port)
	c, progress := s.early(t, ep, port)
	heardTone(t, "the caller", carrier, 425, 0)
	rung := carrier.packets()
	exact := 0
	for i, p := range rung[1:] {
		if p.SequenceNumber != rung[i].SequenceNumber+1 {
			t.Errorf("packet %d of the ringing: %d after %d", i+1, p.SequenceNumber, rung[i].SequenceNumber)
		}
		if p.Timestamp == rung[i].Timestamp+160 {
			exact++
		}
	}
	if exact < len(rung)-3 { // a node that has not run for a second goes on with a gap
		t.Errorf("%d of %d packets of the ringing are 20 ms apart", exact, len(rung)-1)
	}
	close(w.gate)
	took := w.next(t)
	c.answer = c.Status(200, "INVITE")
	if body(c.answer) != body(progress) {
		t.Errorf("the 183 said\n%s\nand the 200\n%s", body(progress), body(c.answer))
	}
	c.Send(c.invite.Within(c.answer, "ACK", 1))
	defer took.speaks(620)()
	heardTone(t, "the answered caller", carrier, 620, len(carrier.packets()))
	c.bye(t)
	if st := s.recordOf(t, c).Stages; st.EarlyMedia.IsZero() || !st.Answered.After(st.EarlyMedia) || st.FirstAgentRTP.Before(st.Answered) {
		t.Errorf("the record says %+v", st)
	}
}

func anAgentThatAnswers(t *testing.T, s *stage) {
	w := s.worker(t, []string{"PCMU"}, nil, nil)
	ep := s.op.Endpoint(t, w.view.ID, rig.Fields{"early_media": "agent", "early_media_limit_ms": 120_000})
	port := s.Port(t, 2)
	carrier := speakAt(t, "127.0.0.1", port)
	c, progress := s.early(t, ep, port)
	took := w.next(t)
	events := took.events(t)
	took.expect(t, "call.early_media")
	defer took.speaks(620)()
	heardTone(t, "the caller", carrier, 620, 0)
	carrier.chat(t, mediaOf(t, progress), 20)
	took.hears(t, 10)
	if live := s.op.CallOf(t, ep, "early"); live.State != string(call.StateEarly) {
		t.Errorf("the call is %s", live.State)
	}
	if ack := took.ask(t, `{"id":"1","type":"transfer","to":"sip:a@b.example"}`); !ack.OK {
		t.Errorf("a transfer was refused: %s", ack.raw)
	}
	took.expect(t, "call.transfer_failed") // it is not established
	if ack := took.ask(t, `{"id":"2","type":"answer","headers":[{"name":"X-Answered","value":"by command"}]}`); !ack.OK {
		t.Errorf("the answer was refused: %s", ack.raw)
	}
	c.answer = c.Status(200, "INVITE")
	if body(c.answer) != body(progress) || c.answer.Header("X-Answered") != "by command" {
		t.Errorf("the 183 said\n%s\nand the 200\n%s", body(progress), c.answer)
	}
	c.Send(c.invite.Within(c.answer, "ACK", 1))
	expectNote(t, events, "over NATS", "call.answered")
	heardTone(t, "the answered caller", carrier, 620, len(carrier.packets()))
	if ack := took.ask(t, `{"id":"3","type":"answer"}`); ack.OK || ack.Error.Code != "not_early" {
		t.Errorf("a second answer: %s", ack.raw)
	}
	c.bye(t)
	st := s.recordOf(t, c).Stages
	if st.EarlyMedia.IsZero() || st.FirstAgentRTP.Before(st.EarlyMedia) || !st.Answered.After(st.FirstAgentRTP) || st.FirstRTP.After(st.Answered) {
		t.Errorf("the record says %+v", st)
	}
}

func anAgentThatRefuses(t *testing.T, s *stage) {
	w := s.worker(t, []string{"PCMU"}, nil, nil)
	ep := s.op.Endpoint(t, w.view.ID, rig.Fields{"early_media": "agent", "early_media_limit_ms": 120_000})
	port := s.Port(t, 2)
	carrier := speakAt(t, "127.0.0.1", port)
	c, _ := s.early(t, ep, port)
	took := w.next(t)
	took.expect(t, "call.early_media")
	defer took.speaks(620)()
	heardTone(t, "the caller", carrier, 620, 0)
	if ack := took.request(t, `{"id":"1","type":"reject","status":302}`); ack.OK || ack.Error.Code != "invalid" {
		t.Errorf("a refusal with 302: %s", ack.raw)
	}
	if ack := took.request(t, `{"id":"2","type":"reject","status":486}`); !ack.OK {
		t.Errorf("the refusal was refused: %s", ack.raw)
	}
	final := c.Status(486, "INVITE")
	c.Send(c.invite.AckOf(final))
	if got := final.Header("Reason"); !strings.Contains(got, "cause=17") {
		t.Errorf("Reason: %q", got)
	}
	if n := took.expect(t, "call.ended"); n.Cause != "agent_rejected" {
		t.Errorf("the agent was told %s", n.raw)
	}
	if rec := s.recordOf(t, c); rec.Status != 486 || rec.Cause.Word != "agent_rejected" || rec.EndedBy != call.ByAgent || !rec.Stages.Answered.IsZero() ||
		rec.Stages.FirstAgentRTP.IsZero() {
		t.Errorf("the record says %+v", rec)
	}
}

func anAgentThatSaysNothing(t *testing.T, s *stage) {
	w := s.worker(t, []string{"PCMU"}, nil, nil)
	for end, want := range map[string]int{"answer": 200, "reject": 480} {
		ep := s.op.Endpoint(t, w.view.ID, rig.Fields{"early_media": "agent", "early_media_limit_ms": 1000, "early_media_end": end})
		c, _ := s.early(t, ep, s.Port(t, 2))
		final := c.Status(want, "INVITE")
		if want == 200 {
			c.answer = final
			c.Send(c.invite.Within(final, "ACK", 1))
			c.bye(t)
		} else {
			c.Send(c.invite.AckOf(final))
		}
		if rec := s.recordOf(t, c); rec.Status != want || rec.Stages.EarlyMedia.IsZero() {
			t.Errorf("%s: the record says %+v", end, rec)
		}
	}
}

// prack confirms a reliable response.
func (c *talk) prack(t *testing.T, progress rig.Response, sdp string) {
	t.Helper()
	r := c.invite.Within(progress, "PRACK", 2)
	r.Headers = append(r.Headers, "RAck: "+progress.Header("RSeq")+" 1 INVITE")
	r.Body = sdp
	if got := c.Final(r); got.Status() != 200 {
		t.Errorf("PRACK got %q", got.Line())
	}
}

func no200BeforeThePrack(t *testing.T, s *stage) {
	w := s.worker(t, []string{"PCMU"}, nil, nil)
	ep := s.op.Endpoint(t, w.view.ID, rig.Fields{"early_media": "agent"})
	port := s.Port(t, 2)
	carrier := speakAt(t, "127.0.0.1", port)
	c, progress := s.early(t, ep, port, "Supported: 100rel")
	if progress.Header("Require") != "100rel" || progress.Header("RSeq") == "" {
		t.Fatalf("the 183 is not reliable:\n%s", progress)
	}
	took := w.next(t)
	took.expect(t, "call.early_media")
	defer took.speaks(620)()
	if ack := took.ask(t, `{"type":"answer"}`); !ack.OK {
		t.Errorf("the answer was refused: %s", ack.raw)
	}
	c.Silent(1500*time.Millisecond, "a 200 before the PRACK", func(r rig.Response) bool { return r.Status() == 200 })
	heardTone(t, "the caller", carrier, 620, 0)
	c.prack(t, progress, "")
	c.answer = c.Status(200, "INVITE")
	if body(c.answer) != body(progress) {
		t.Errorf("the 183 said\n%s\nand the 200\n%s", body(progress), body(c.answer))
	}
	c.Send(c.invite.Within(c.answer, "ACK", 1))
	took.expect(t, "call.answered")
	r := c.invite.Within(c.answer, "BYE", 3)
	if got := c.Final(r); got.Status() != 200 {
		t.Errorf("BYE got %q", got.Line())
	}
}

func theCarrierGivesUp(t *testing.T, s *stage) {
	w := s.worker(t, []string{"PCMU"}, nil, nil)
	ep := s.op.Endpoint(t, w.view.ID, rig.Fields{"early_media": "agent"})
	port := s.Port(t, 2)
	carrier := speakAt(t, "127.0.0.1", port)
	c, _ := s.early(t, ep, port)
	took := w.next(t)
	took.expect(t, "call.early_media")
	defer took.speaks(620)()
	heardTone(t, "the caller", carrier, 620, 0)
	c.Send(c.invite.Cancel())
	final := c.Status(487, "INVITE")
	c.Send(c.invite.AckOf(final))
	if n := took.expect(t, "call.ended"); n.Cause != "cancelled" {
		t.Errorf("the agent was told %s", n.raw)
	}
	if rec := s.recordOf(t, c); rec.Status != 487 || rec.EndedBy != call.ByCarrier || rec.Stages.EarlyMedia.IsZero() {
		t.Errorf("the record says %+v", rec)
	}
}

func anOfferInThe183(t *testing.T, s *stage) {
	w := s.worker(t, []string{"PCMU"}, nil, nil)
	ep := s.op.Endpoint(t, w.view.ID, rig.Fields{"early_media": "agent"})
	port := s.Port(t, 2)
	carrier := speakAt(t, "127.0.0.1", port)
	c := &talk{Peer: s.Dial(t, "udp"), invite: rig.Request{Method: "INVITE", URI: s.URI(ep.Slug), Headers: []string{"Require: 100rel"}}.Fresh()}
	c.Send(c.invite)
	progress := c.Status(183, "INVITE")
	took := w.next(t)
	took.expect(t, "call.early_media")
	defer took.speaks(620)()
	c.prack(t, progress, rig.Offer(port))
	heardTone(t, "the caller", carrier, 620, 0)
	if ack := took.ask(t, `{"type":"answer"}`); !ack.OK {
		t.Errorf("the answer was refused: %s", ack.raw)
	}
	c.answer = c.Status(200, "INVITE")
	if body(c.answer) != "" {
		t.Errorf("the 200 has a body:\n%s", c.answer)
	}
	c.Send(c.invite.Within(c.answer, "ACK", 1))
	heardTone(t, "the answered caller", carrier, 620, len(carrier.packets()))
	if got := c.Final(c.invite.Within(c.answer, "BYE", 3)); got.Status() != 200 {
		t.Errorf("BYE got %q", got.Line())
	}
}

func theNextAgent(t *testing.T, s *stage) {
	second := s.worker(t, []string{"PCMU"}, nil, nil)
	first := s.worker(t, []string{"PCMU"}, rig.Fields{"failover": []string{second.view.ID}}, nil)
	ep := s.op.Endpoint(t, first.view.ID, rig.Fields{"early_media": "agent"})
	port := s.Port(t, 2)
	carrier := speakAt(t, "127.0.0.1", port)
	c, progress := s.early(t, ep, port)
	took := first.next(t)
	took.expect(t, "call.early_media")
	stop := took.speaks(620)
	heardTone(t, "the caller", carrier, 620, 0)
	stop()
	_ = took.pc.Close()
	next := second.next(t)
	next.expect(t, "call.early_media")
	defer next.speaks(770)()
	heardTone(t, "the caller, of the second agent", carrier, 770, len(carrier.packets()))
	if ack := next.ask(t, `{"type":"answer"}`); !ack.OK {
		t.Errorf("the answer was refused: %s", ack.raw)
	}
	c.answer = c.Status(200, "INVITE")
	if body(c.answer) != body(progress) {
		t.Errorf("the 183 said\n%s\nand the 200\n%s", body(progress), body(c.answer))
	}
	c.Send(c.invite.Within(c.answer, "ACK", 1))
	c.bye(t)
	if rec := s.recordOf(t, c); rec.Agent != second.view.ID || rec.Status != 200 {
		t.Errorf("the record says %+v", rec)
	}
}
