package dialog_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors/call"
)

// What a carrier that we call may send at any moment, sensible or not, and what
// the call may ask for.
var (
	callees = []string{
		"100", "180 tag=a", "180 tag=b", "183 tag=c sdp=4002", "200 tag=a sdp", "200 tag=b sdp", "200 tag=c", "200 tag=d sdp=0",
		"302 tag=a", "401 tag=a nonce=n1", "407 tag=a nonce=n2 stale", "486 tag=a", "487 tag=b", "503 tag=a", "600 tag=c",
		"100 attempt=1", "180 tag=a attempt=1", "200 tag=e sdp attempt=1", "486 tag=a attempt=1",
		"200 to CANCEL", "481 to CANCEL", "200 to BYE tag=a", "481 to BYE tag=b", "407 to BYE tag=a nonce=n3 stale",
		"180 tag=a require=100rel rseq=1", "183 tag=a sdp require=100rel rseq=2", "180 tag=b require=100rel rseq=9", "200 to PRACK tag=a", "481 to PRACK tag=b",
		"422 tag=a min-se=900", "200 tag=a sdp se=90,uac allow=UPDATE", "200 tag=b sdp se=90", "200 to UPDATE tag=a se=90,uas", "481 to UPDATE tag=a", "200 to re-INVITE tag=b sdp", "491 to re-INVITE tag=b",
		"BYE tag=a", "BYE tag=b", "BYE tag=a again", "INVITE tag=a", "INVITE tag=a again", "INVITE tag=a sdp o=2 dir=sendonly", "UPDATE tag=a sdp o=3",
		"UPDATE tag=b", "ACK tag=a", "ACK tag=a sdp o=4", "OPTIONS tag=b", "INFO tag=a", "CANCEL tag=a", "200 to INFO tag=a", "407 to INFO tag=a nonce=n4 stale", "405 to INFO tag=b",
	}
	wishes = []string{"bye operator_hangup", "unsent", "invite", "press 1w2", "press 3 always"}
)

// TestOneOutcomeWhateverTheCarrierSays plays random histories of a call that we
// begin, over UDP and TCP, with one address and with two: any responses in any
// order, lost, or twice. There is exactly one outcome, at most one dialog
// lives on, every other answer is acknowledged and ended, and in the end
// nothing is left.
func TestOneOutcomeWhateverTheCarrierSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		s := newCallSim(t, map[string]string{"user": "alice secret",
			"to":   rapid.SampledFrom([]string{"sip:1@192.0.2.10", "sip:1@192.0.2.10;transport=tcp"}).Draw(r, "to"),
			"hops": rapid.SampledFrom([]string{"", "sip:192.0.2.10 sip:192.0.2.11;transport=tcp"}).Draw(r, "hops")})
		j := &callJudge{r: r, s: s, sent: map[string]time.Duration{}, heard: map[string][]string{}, acked: map[string]int{}, byes: map[string]int{}}
		s.seen = j.note
		s.do(step{from: agent, text: "invite"})
		for range rapid.IntRange(0, 25).Draw(r, "rows") {
			s.runUntil(s.now + time.Duration(rapid.SampledFrom([]int{0, 0, 10, 400, 700, 5000, 33000}).Draw(r, "pause"))*time.Millisecond)
			if rapid.IntRange(0, 4).Draw(r, "who") > 0 {
				j.play(rapid.SampledFrom(callees).Draw(r, "carrier"))
			} else {
				s.do(step{from: agent, text: rapid.SampledFrom(wishes).Draw(r, "call")})
			}
		}
		j.hungUp = true
		s.do(step{from: agent, text: "bye operator_hangup"})
		s.runUntil(s.now + 300*time.Second)
		j.verdict()
	})
}

// A callJudge watches what leaves the dialog.
type callJudge struct {
	r       *rapid.T
	s       *callSim
	sent    map[string]time.Duration // by CSeq of an INVITE: when
	heard   map[string][]string      // by CSeq: statuses of its responses
	acked   map[string]int           // by tag of a 2xx
	byes    map[string]int           // likewise, copies among them
	answers []string                 // tags of the 2xx that came in time
	winner  string
	failed  bool
	outcome int
	hungUp  bool
}

// play lets the carrier say something, if it can, and sees what is owed for it.
func (j *callJudge) play(text string) {
	words := strings.Fields(text)
	if !j.s.callee.can(text) {
		return
	}
	status, _ := strconv.Atoi(words[0])
	tag, seq := "", ""
	if status > 0 && !strings.Contains(text, " to ") {
		invite := j.s.callee.invites[len(j.s.callee.invites)-1]
		if strings.Contains(text, "attempt=1") {
			invite = j.s.callee.invites[0]
		}
		seq = strings.Fields(header(invite, "CSeq"))[0]
		_, tag, _ = strings.Cut(words[1%len(words)], "tag=")
		j.heard[seq] = append(j.heard[seq], words[0])
	}
	before := j.acked[tag]
	j.s.do(step{from: carrier, text: text})
	inTime := seq != "" && j.s.now < j.sent[seq]+32*time.Second
	if status/100 == 2 && inTime {
		if j.acked[tag] != before+1 {
			j.r.Fatalf("the 200 with tag %s got %d ACKs\n%s", tag, j.acked[tag]-before, j.s.String())
		}
		if !slices.Contains(j.answers, tag) {
			j.answers = append(j.answers, tag)
		}
	}
}

func (j *callJudge) note(o call.Output) {
	if o.Event != nil {
		j.event(*o.Event)
		return
	}
	raw := string(o.Send.Raw)
	method, _, _ := strings.Cut(raw, " ")
	seq := strings.Fields(header(raw, "CSeq"))[0]
	tag := tagOf(header(raw, "To"))
	switch method {
	case "INVITE":
		if tag != "" { // a refresh of the session timer
			return
		}
		if j.outcome > 0 {
			j.r.Fatalf("an INVITE after the outcome\n%s", j.s.String())
		}
		if _, copy := j.sent[seq]; !copy {
			j.sent[seq] = j.s.now
		}
	case "CANCEL":
		if len(j.heard[seq]) == 0 || slices.ContainsFunc(j.heard[seq], func(s string) bool { return s >= "200" }) {
			j.r.Fatalf("a CANCEL after the responses %v\n%s", j.heard[seq], j.s.String())
		}
	case "ACK":
		j.acked[tag]++
	case "BYE":
		j.byes[tag]++
	}
}

func (j *callJudge) event(ev call.Event) {
	switch ev.Kind {
	case call.CarrierAnswered:
		j.outcome++
		j.winner = j.answering()
	case call.CarrierFailed:
		j.outcome++
		j.failed = true
	case call.CarrierRings, call.CarrierBye, call.ByeDone, call.CarrierOffered, call.CarrierSettled, call.ChangeUnacked, call.DigitsUnsent:
	case call.Hangup:
		if ev.Cause != call.CauseSessionExpired || j.outcome == 0 {
			j.r.Fatalf("%s for %s", ev.Kind, ev.Cause.Word)
		}
	default:
		j.r.Fatalf("event %s", ev.Kind)
	}
	if ev.Kind == call.CarrierRings && j.outcome > 0 {
		j.r.Fatalf("ringing after the outcome\n%s", j.s.String())
	}
}

// answering is the tag of the ACK that left last: the dialog's.
func (j *callJudge) answering() string { return j.s.lastAck }

func (j *callJudge) verdict() {
	fail := func(format string, args ...any) { j.r.Fatalf(format+"\n%s", append(args, j.s.String())...) }
	if j.outcome != 1 {
		fail("%d outcomes", j.outcome)
	}
	for _, tag := range j.answers {
		if tag != j.winner && j.byes[tag] == 0 {
			fail("the answer with tag %s was not ended", tag)
		}
	}
	if d := j.s.dialog; !d.Done() || !d.Deadline().IsZero() {
		fail("done %t, deadline %v", d.Done(), d.Deadline())
	}
}

// can reports whether the carrier has heard what the row is about.
func (c *callee) can(text string) bool {
	words := strings.Fields(text)
	if len(c.invites) == 0 {
		return false
	}
	tag := ""
	for _, w := range words {
		if v, ok := strings.CutPrefix(w, "tag="); ok {
			tag = v
		}
	}
	if strings.Contains(text, " to ") {
		_, heard := c.requests[words[2]+" "+tag]
		return heard
	}
	_, sent := c.sent[words[0]+" INVITE "+tag]
	return sent || !strings.HasSuffix(text, "again")
}

// FuzzACallSurvivesAnyMessage feeds a call of ours whatever comes, while it
// rings and once it is answered: it still has one outcome, and an end.
func FuzzACallSurvivesAnyMessage(f *testing.F) {
	for _, text := range []string{"183 tag=a sdp", "200 tag=b sdp", "486 tag=a", "401 tag=a nonce=n", "BYE tag=a", "INVITE tag=a"} {
		s := newCallSim(f, nil)
		s.do(step{from: agent, text: "invite"})
		f.Add(s.callee.packet(f, text).Raw, false)
		f.Add(s.callee.packet(f, text).Raw, true)
	}
	f.Fuzz(func(t *testing.T, raw []byte, answered bool) {
		s := newCallSim(t, map[string]string{"user": "alice secret"})
		outcomes := 0
		s.seen = func(o call.Output) {
			if o.Event != nil && (o.Event.Kind == call.CarrierAnswered || o.Event.Kind == call.CarrierFailed) {
				outcomes++
			}
		}
		s.do(step{from: agent, text: "invite"})
		if answered {
			s.do(step{from: carrier, text: "200 tag=a sdp"})
		}
		s.carryOut(s.dialog.Receive(s.at(), call.Packet{Flow: s.callee.flow("edge-1"), Raw: raw}))
		s.do(step{from: agent, text: "bye operator_hangup"})
		s.runUntil(300 * time.Second)
		if outcomes != 1 || !s.dialog.Done() {
			t.Error(fmt.Sprintf("%d outcomes, done %t\n", outcomes, s.dialog.Done()) + s.String())
		}
	})
}

// BenchmarkACallOfOurs is the signalling of one call that we begin: INVITE,
// 100, 180, 200, ACK, BYE, 200.
func BenchmarkACallOfOurs(b *testing.B) {
	f := newFactory(b, "")
	offer := ourOffer()
	var answers []call.Packet
	run := func(said func(c *callee) []call.Packet) {
		d, _, err := f.Call(1, outgoing(nil))
		if err != nil {
			b.Fatal(err)
		}
		var c *callee
		if said != nil {
			c = newCallee()
		}
		sent := d.Invite(epoch, offer)
		if c != nil {
			c.hear(b, *sent[0].Send)
			answers = said(c)
		}
		for _, p := range answers {
			d.Receive(epoch, p)
		}
		if sent = d.Bye(epoch, call.CauseNormal); len(sent) != 1 {
			b.Fatal("the call was not answered")
		}
	}
	run(func(c *callee) []call.Packet {
		return []call.Packet{c.packet(b, "100"), c.packet(b, "180 tag=a"), c.packet(b, "200 tag=a sdp")}
	})
	b.ReportAllocs()
	for b.Loop() {
		run(nil)
	}
}
