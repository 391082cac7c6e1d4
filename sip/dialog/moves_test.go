package dialog_test

import (
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors/call"
)

// movers are what carriers and targets do about a call that moves, sensible or
// not, in any order and more than once.
var movers = []string{
	"REFER to=sip:bob@192.0.2.40", "REFER to=sip:bob@192.0.2.40 sub=false", "REFER again", "REFER", "200 to NOTIFY", "200 to NOTIFY", "481 to NOTIFY", "BYE", "200 to BYE",
	"T 180 to INVITE", "T 200 to INVITE sdp", "T 200 to INVITE sdp", "T 486 to INVITE", "T 487 to INVITE", "T 200 to CANCEL", "T BYE", "T 200 to BYE", "T INVITE o=2", "T ACK",
	"B INVITE replaces", "B INVITE replaces nosdp", "B INVITE replaces codecs=8", "B INVITE replaces codecs=96", "B INVITE again", "B ACK", "B ACK sdp", "B BYE", "B 200 to BYE", "B REFER to=sip:carol@192.0.2.41",
	"INVITE o=2 dir=sendonly", "ACK", "UPDATE", "OPTIONS",
}

// TestEveryMoveEndsInOneState lets an answered call move, again and again: by
// INVITEs with Replaces and by REFERs, with messages lost, doubled and in any
// order. It has one final state and one record, and nothing leaves after the end.
func TestEveryMoveEndsInOneState(t *testing.T) {
	t.Parallel()
	var moved, twice atomic.Int64
	rapid.Check(t, func(r *rapid.T) {
		s := newSim(t, sceneOf(map[string]string{"transport": rapid.SampledFrom([]string{"udp", "tcp"}).Draw(r, "transport"), "max-duration": "200s", "refers": "yes"}))
		j := &judge{r: r}
		s.seen = j.note
		s.do(step{from: carrier, text: "INVITE"})
		s.do(step{from: agent, text: "joined PCMU"})
		s.do(step{from: carrier, text: "ACK"})
		for range rapid.IntRange(3, 25).Draw(r, "rows") {
			s.runUntil(s.now + time.Duration(rapid.SampledFrom([]int{0, 0, 10, 10, 400, 3000, 33000}).Draw(r, "pause"))*time.Millisecond)
			j.over, j.done = s.machine.Call.Over(), s.machine.Done()
			if rapid.IntRange(0, 4).Draw(r, "who") > 0 {
				if text := rapid.SampledFrom(movers).Draw(r, "carrier"); s.can(text) {
					s.do(step{from: carrier, text: text})
				}
				continue
			}
			s.do(step{from: agent, text: rapid.SampledFrom([]string{"referral allowed", "referral allowed", "referral refused 603", "transfer sip:sales@pbx.example",
				"silence rtp_timeout", "digit 1", "hangup operator_hangup"}).Draw(r, "agent")})
		}
		s.runUntil(s.now + 400*time.Second)
		rec := s.machine.Call.Record()
		if j.finished != 1 || j.opened != 1 || j.closed != 1 || !s.machine.Done() || !s.machine.Deadline().IsZero() || s.machine.Call.State() != call.StateEnded {
			r.Fatalf("at the end: %+v, done %v, deadline %v\n%s", *j, s.machine.Done(), s.machine.Deadline(), s.String())
		}
		if rec.Moved != nil {
			moved.Add(1)
			if rec.Moved.Times > 1 {
				twice.Add(1)
			}
		}
	})
	t.Logf("%d calls moved, %d of them more than once", moved.Load(), twice.Load())
}
