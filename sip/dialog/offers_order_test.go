package dialog_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors"
	"patchbay/actors/call"
)

// changes are what a carrier may ask of a call at any moment, sensible or not.
var changes = []string{
	"INVITE", "INVITE o=2 dir=sendonly", "INVITE o=3 dir=inactive", "INVITE o=4 addr=0.0.0.0:4000", "INVITE o=5 addr=192.0.2.20:4010",
	"INVITE o=6 codecs=8", "INVITE o=16 codecs=96", "INVITE o=7 codecs=99,98 video", "INVITE nosdp", "INVITE again", "INVITE again via edge-2",
	"UPDATE", "UPDATE sdp o=8 dir=sendonly", "UPDATE sdp o=9", "UPDATE sdp o=10 codecs=96", "UPDATE again", "UPDATE contact=sip:m@192.0.2.11",
	"ACK", "ACK again", "ACK sdp o=11", "ACK sdp o=12 dir=recvonly", "ACK sdp o=13 codecs=8", "ACK cseq=1 branch=x sdp", "ACK cseq=1 branch=y",
	"CANCEL", "CANCEL again", "INFO", "BYE", "200 to BYE",
}

// TestOffersAndAnswersKeepTheirOrder plays random histories of changes over a
// call and its dialog, with and without SDP in its first INVITE: any order,
// loss, and copies. There is never a second offer before the first has its
// answer, the version of our description rises with what it says and not
// otherwise, hold and resume take turns, nothing is repeated after the end, and
// there is one end.
func TestOffersAndAnswersKeepTheirOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		s := newSim(t, sceneOf(map[string]string{"transport": rapid.SampledFrom([]string{"udp", "tcp"}).Draw(r, "transport"), "max-duration": "300s"}))
		j := &offerJudge{r: r, s: s}
		s.seen, s.sent = j.effect, j.message
		if rapid.Bool().Draw(r, "late") {
			j.play("INVITE nosdp")
			s.do(step{from: agent, text: "joined PCMU offers"})
		} else {
			j.play("INVITE")
			s.do(step{from: agent, text: "joined PCMU"})
		}
		for range rapid.IntRange(1, 30).Draw(r, "rows") {
			s.runUntil(s.now + time.Duration(rapid.SampledFrom([]int{0, 0, 10, 400, 700, 5000, 33000}).Draw(r, "pause"))*time.Millisecond)
			if rapid.IntRange(0, 15).Draw(r, "who") == 0 {
				s.do(step{from: agent, text: rapid.SampledFrom([]string{"hangup operator_hangup", "left agent_hangup", "silence rtp_timeout"}).Draw(r, "agent")})
				continue
			}
			if text := rapid.SampledFrom(changes).Draw(r, "carrier"); s.can(text) {
				j.play(text)
			}
		}
		s.runUntil(s.now + 500*time.Second)
		if j.finished != 1 || !s.machine.Done() || !s.machine.Deadline().IsZero() {
			r.Fatalf("%d records, done %v, deadline %v\n%s", j.finished, s.machine.Done(), s.machine.Deadline(), s.String())
		}
	})
}

// An offerJudge watches the descriptions that leave.
type offerJudge struct {
	r        *rapid.T
	s        *sim
	due      string   // CSeq of the INVITE whose ACK owes us an answer
	asked    []string // CSeqs of INVITEs without SDP
	version  string   // of our last description
	body     string   // the same, without its o= line
	seen     []string // messages, but for copies
	held     bool
	finished int
	resting  bool // nothing comes in: what leaves is repeated
}

// play lets the carrier say something.
func (j *offerJudge) play(text string) {
	j.resting = false
	p := j.s.peer.packet(j.s.t, text)
	raw := string(p.Raw)
	seq := strings.Fields(header(raw, "CSeq"))[0]
	switch {
	case strings.HasPrefix(raw, "INVITE") && !strings.Contains(raw, "m=audio"):
		j.asked = append(j.asked, seq)
	case strings.HasPrefix(raw, "ACK") && seq == j.due:
		j.due = "" // whatever is in it, our offer is not open any more
	}
	j.s.receive(p)
	j.resting = true
}

func (j *offerJudge) effect(a actors.Action) {
	switch e := a.Effect; {
	case a.Send != nil:
	case j.finished > 0:
		j.r.Fatalf("%s after the end\n%s", e.Do, j.s.String())
	case e.Do == call.Finish:
		j.finished++
	case e.Do == call.Emit && (e.Name == call.EventHeld || e.Name == call.EventResumed):
		if j.held == (e.Name == call.EventHeld) {
			j.r.Fatalf("%s twice\n%s", e.Name, j.s.String())
		}
		j.held = !j.held
	}
}

func (j *offerJudge) message(tx call.Transmission) {
	raw := string(tx.Raw)
	accepts := statusOf(raw)/100 == 2 && strings.HasSuffix(header(raw, "CSeq"), " INVITE")
	if accepts && j.resting && j.finished > 0 {
		j.r.Fatalf("a 200 is repeated after the end\n%s", j.s.String())
	}
	_, body, _ := strings.Cut(raw, "\r\n\r\n")
	if body == "" || slices.Contains(j.seen, raw) {
		return
	}
	j.seen = append(j.seen, raw)
	if j.due != "" {
		j.r.Fatalf("an offer or answer while ours of CSeq %s is open:\n%s\n%s", j.due, raw, j.s.String())
	}
	if seq := strings.Fields(header(raw, "CSeq"))[0]; accepts && slices.Contains(j.asked, seq) {
		j.due = seq
	}
	j.described(body)
}

// described judges the o= line of a description (RFC 3264 8).
func (j *offerJudge) described(body string) {
	head, rest, _ := strings.Cut(body, "\r\no=")
	origin, rest, _ := strings.Cut(rest, "\r\n")
	version, rest := strings.Fields(origin)[2], head+rest
	was, _ := strconv.Atoi(j.version)
	now, _ := strconv.Atoi(version)
	switch {
	case rest == j.body && now != was:
		j.r.Fatalf("version %d after %d, and nothing has changed\n%s", now, was, j.s.String())
	case rest != j.body && now != was+1:
		j.r.Fatalf("version %d after %d of another description\n%s", now, was, j.s.String())
	}
	j.version, j.body = version, rest
}
