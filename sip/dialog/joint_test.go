package dialog_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors"
	"patchbay/actors/call"
)

// carriers and agents are what either side may do at any moment, sensible or
// not.
var (
	carriers = []string{
		"INVITE o=2 dir=sendonly", "INVITE nosdp", "UPDATE", "UPDATE sdp o=3", "ACK sdp",
		"INVITE again", "INVITE again via edge-2", "INVITE", "INVITE branch=other to-tag=", "CANCEL", "CANCEL again",
		"ACK", "ACK cseq=1 branch=invite-1", "ACK cseq=1", "ACK again", "BYE", "BYE again", "BYE cseq=1", "BYE to-tag=x",
		"OPTIONS", "INFO", "100 to BYE", "200 to BYE", "481 to BYE", "200 to INFO", "405 to INFO",
		"INFO relay=5,100", "INVITE supported=timer se=90,uas allow=INVITE o=2", "INVITE supported=timer se=90,uac o=3", "UPDATE supported=timer se=90,uas allow=UPDATE",
		"UPDATE", "200 to UPDATE", "481 to UPDATE", "405 to UPDATE", "422 to UPDATE min-se=120", "200 to INVITE se=90,uac sdp", "491 to INVITE", "500 to INVITE", "481 to INVITE",
		"202 to REFER", "603 to REFER", "NOTIFY event=refer state=active frag=180", "NOTIFY event=refer state=terminated;reason=noresource frag=200",
		"NOTIFY event=refer state=terminated;reason=noresource frag=486", "NOTIFY again", "REFER",
		"PRACK rack=1,1", "PRACK rack=1,1 again", "PRACK rack=2,1", "PRACK rack=1,1 sdp", "PRACK rack=1,1 sdp o=4 dir=sendonly", "UPDATE sdp o=5",
		"B INVITE replaces", "B INVITE replaces nosdp", "B INVITE replaces codecs=8", "B INVITE replaces codecs=96", "B INVITE again", "B ACK", "B ACK sdp", "B BYE", "B BYE again",
		"REFER to=sip:bob@192.0.2.40", "REFER to=sip:bob@192.0.2.40 sub=false", "REFER again", "200 to NOTIFY", "481 to NOTIFY",
		"T 100 to INVITE", "T 180 to INVITE", "T 200 to INVITE sdp", "T 200 to INVITE sdp", "T 200 to INVITE", "T 486 to INVITE", "T 487 to INVITE", "T 200 to CANCEL", "T BYE", "T BYE again", "T 200 to BYE",
		"T INVITE", "T ACK", "T REFER to=sip:carol@192.0.2.41", "B INVITE o=2 dir=sendonly", "B 200 to BYE", "B 481 to BYE", "B OPTIONS",
	}
	agents = []string{
		"chosen echo-1", "joined PCMU", "failed 480 no_agent", "failed 503 no_ports", "left agent_hangup",
		"hangup operator_hangup", "hangup node_drained", "silence rtp_timeout", "digit 1", "audio",
		"transfer sip:sales@pbx.example", "joined PCMU", "ringing PCMU", "answer", "reject 486", "press 1w#", "press 2 always",
		"referral allowed", "referral allowed", "referral refused 603",
	}
)

// TestEveryHistoryEndsInOneState plays random histories over a call and its
// dialog: what carrier and agent do, in any order and at any pace, over UDP
// and TCP. The promises of the judge hold, and in the end nothing is left.
func TestEveryHistoryEndsInOneState(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		transport := rapid.SampledFrom([]string{"udp", "tcp"}).Draw(r, "transport")
		s := newSim(t, sceneOf(map[string]string{"transport": transport, "max-duration": "100s",
			"refers":          rapid.SampledFrom([]string{"yes", "no"}).Draw(r, "a policy for REFER"),
			"early-media":     rapid.SampledFrom([]string{"", "ringback", "agent"}).Draw(r, "early media"),
			"session-expires": rapid.SampledFrom([]string{"0s", "90s"}).Draw(r, "session timer")}))
		j := &judge{r: r}
		s.seen = j.note
		s.do(step{from: carrier, text: "INVITE" + rapid.SampledFrom([]string{"", " require=100rel", " supported=100rel", " nosdp supported=100rel", " supported=timer", " supported=timer se=90,uas allow=UPDATE"}).Draw(r, "asks")})
		for range rapid.IntRange(0, 25).Draw(r, "rows") {
			s.runUntil(s.now + time.Duration(rapid.SampledFrom([]int{0, 0, 10, 400, 700, 5000, 33000}).Draw(r, "pause"))*time.Millisecond)
			j.over, j.done = s.machine.Call.Over(), s.machine.Done()
			if rapid.Bool().Draw(r, "from carrier") {
				text := rapid.SampledFrom(carriers).Draw(r, "carrier")
				if s.can(text) {
					s.do(step{from: carrier, text: text})
				}
			} else {
				s.do(step{from: agent, text: rapid.SampledFrom(agents).Draw(r, "agent")})
			}
			if j.cancelled = j.cancelled || s.machine.Call.Record().Status == 487; j.cancelled && j.final == 200 {
				r.Fatalf("both cancelled and answered\n%s", s.String())
			}
		}
		s.runUntil(s.now + 300*time.Second)
		if j.finished != 1 || j.opened != 1 || j.closed != 1 || !s.machine.Done() || !s.machine.Deadline().IsZero() {
			r.Fatalf("at the end: %+v, done %v, deadline %v\n%s", *j, s.machine.Done(), s.machine.Deadline(), s.String())
		}
	})
}

// can reports whether the carrier has what the row needs.
func (s *sim) can(text string) bool {
	p := s.peer
	if second, ok := strings.CutPrefix(text, "B "); ok {
		if text = second; strings.Contains(text, " replaces") {
			_, movable := s.machine.Call.Movable()
			return movable && s.second == nil
		}
		if p = s.second; p == nil || p.toTag == "" {
			return false
		}
	}
	if target, ok := strings.CutPrefix(text, "T "); ok {
		if text, p = target, s.target; p == nil {
			return false
		}
	}
	method, rest, _ := strings.Cut(text, " ")
	if asked, ok := strings.CutPrefix(rest, "to "); ok {
		return p.ours[strings.Fields(asked)[0]] != ""
	}
	_, sent := p.sent[method]
	return sent || !strings.Contains(rest, "again")
}

// A judge watches what leaves the machine.
type judge struct {
	r                        *rapid.T
	final                    int // status of the first final response to the first INVITE
	cancelled, over, done    bool
	opened, closed, finished int
	tag                      string
	pending, confirmed       string // RSeq of the last 183 with SDP, and of the last that was confirmed
}

func (j *judge) note(a actors.Action) {
	if a.Send != nil {
		if j.done && !strings.HasPrefix(string(a.Send.Raw), "SIP/2.0 ") {
			j.r.Fatalf("a request left when nothing was left of the call: %.60q", a.Send.Raw)
		}
		j.message(string(a.Send.Raw))
		return
	}
	switch a.Effect.Do {
	case call.OpenBridge:
		j.opened++
	case call.CloseBridge:
		j.closed++
	case call.Finish:
		j.finished++
	case call.Respond, call.SendBye:
		j.r.Fatalf("%s left the machine", a.Effect.Do)
	}
	if j.over {
		j.r.Fatalf("%s after the end", a.Effect.Do)
	}
}

// message judges what the carrier gets: one final response to the INVITE and
// copies of it, one To-tag, no 2xx after a refusal, no BYE before a 200.
func (j *judge) message(raw string) {
	if header(raw, "Call-ID") == "ladder@carrier.example" && strings.HasPrefix(raw, "BYE ") && j.final != 200 {
		j.r.Fatalf("BYE after %d", j.final)
	}
	status := statusOf(raw)
	if strings.HasSuffix(header(raw, "CSeq"), " PRACK") && (status == 200 || status == 488) {
		j.confirmed = j.pending
	}
	if rseq := header(raw, "RSeq"); rseq != "" && strings.Contains(raw, "m=audio") {
		j.pending = rseq
	}
	if header(raw, "Call-ID") != "ladder@carrier.example" || header(raw, "CSeq") != "1 INVITE" || status < 200 || status == 482 {
		return
	}
	if status/100 == 2 && j.pending != j.confirmed { // RFC 3262 3
		j.r.Fatalf("%d before the PRACK of response %s", status, j.pending)
	}
	_, tag, _ := strings.Cut(header(raw, "To"), ";tag=")
	if j.final != 0 && (status != j.final || tag != j.tag) {
		j.r.Fatalf("%d with tag %s after %d with tag %s", status, tag, j.final, j.tag)
	}
	j.final, j.tag = status, tag
}

// FuzzADialogSurvivesAnyMessage feeds one dialog whatever comes: it may answer,
// but not fail, and its call still ends once.
func FuzzADialogSurvivesAnyMessage(f *testing.F) {
	for _, text := range []string{"INVITE", "ACK", "CANCEL", "BYE reason=16", "OPTIONS", "INFO", "INVITE nosdp", "INVITE o=2 dir=sendonly",
		"UPDATE sdp o=3 video", "ACK sdp"} {
		f.Add(newPeer(sceneOf(nil)).packet(f, text).Raw)
	}
	f.Add([]byte("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=f1\r\nTo: <sip:a@b>\r\n" +
		"Call-ID: ladder@carrier.example\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := newSim(t, sceneOf(nil))
		s.do(step{from: carrier, text: "INVITE"})
		s.do(step{from: agent, text: "joined PCMU"})
		s.receive(call.Packet{Flow: s.peer.flow("edge-1"), Raw: raw})
		s.runUntil(200 * time.Second)
		if !s.machine.Done() {
			t.Error("not done")
		}
		_, _, _ = s.factory.New(epoch, 2, call.Packet{Flow: s.peer.flow("edge-1"), Raw: raw})
	})
}

// BenchmarkACallThroughTheMachine is the signalling of one call: INVITE, 100,
// 180, 200, ACK, BYE, 200.
func BenchmarkACallThroughTheMachine(b *testing.B) {
	p := newPeer(sceneOf(nil))
	factory := newFactory(b, "")
	invite := p.packet(b, "INVITE")
	joined := agentEvent(b, "joined PCMU")
	var ack, bye call.Packet
	run := func() {
		d, inv, err := factory.New(epoch, 1, invite)
		if err != nil {
			b.Fatal(err)
		}
		m := &actors.Machine{Dialog: d, Call: call.New(call.Params{ID: 1, Invitation: inv, AgentTimeout: time.Second, MaxDuration: time.Hour})}
		m.HandleEvent(epoch, call.Event{Kind: call.Invited})
		m.HandleEvent(epoch, call.Event{Kind: call.AgentChosen})
		actions := m.HandleEvent(epoch, joined)
		if ack.Raw == nil {
			p.hear(string(actions[1].Send.Raw))
			ack, bye = p.packet(b, "ACK"), p.packet(b, "BYE")
		}
		m.HandlePacket(epoch, ack)
		m.HandlePacket(epoch, bye)
		if !m.Call.Over() {
			b.Fatal("the call is not over")
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
}
