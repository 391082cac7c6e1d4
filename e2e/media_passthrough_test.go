package e2e_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"patchbay/e2e/rig"
	"patchbay/internal/caller"
)

// talkLimit bounds a call of our own caller from its INVITE to its end.
const talkLimit = 40 * time.Second

// dial places a call with our own caller and returns what became of it.
func (s *stage) dial(t *testing.T, slug string, o caller.Options) caller.Report {
	t.Helper()
	return s.dialUntil(t, t.Context(), slug, o)
}

// dialUntil is dial for a call that ends with ctx.
func (s *stage) dialUntil(t *testing.T, ctx context.Context, slug string, o caller.Options) caller.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, talkLimit)
	defer cancel()
	o.URI = s.URI(slug)
	rep, err := caller.Call(ctx, o)
	if err != nil {
		t.Errorf("call: %v", err)
	}
	return rep
}

// answered fails the test unless the call was answered with that codec.
func answered(t *testing.T, rep caller.Report, codec string) {
	t.Helper()
	if rep.Status != 200 || rep.Codec != codec {
		t.Fatalf("the call got %d %s, codec %q, want 200 and %s", rep.Status, rep.Phrase, rep.Codec, codec)
	}
}

// A script is what one side says: payloads that look like noise, each of them
// unlike any other, so that a packet that was changed, doubled, lost or put out
// of order shows.
type script struct {
	payloads [][]byte
	number   map[string]int
}

// lengths are the bytes of 20 ms; those of opus vary, as in real streams.
var lengths = map[string][]int{"PCMU": {160}, "PCMA": {160}, "G722": {160}, "opus": {3, 40, 77, 120, 251, 640}}

func newScript(codec string, seed uint64, packets int) *script {
	random := rand.New(rand.NewPCG(seed, uint64(len(codec))))
	s := &script{number: map[string]int{}}
	for n := 0; n < packets; n++ {
		p := make([]byte, lengths[codec][n%len(lengths[codec])])
		for i := range p {
			p[i] = byte(random.Uint32())
		}
		if _, twice := s.number[string(p)]; twice {
			n--
			continue
		}
		s.number[string(p)] = n
		s.payloads = append(s.payloads, p)
	}
	return s
}

// A numbered is a packet as one side got it.
type numbered struct {
	seq     uint16
	payload []byte
}

// compare checks what one side got of a script: every packet is one of the
// script's, byte for byte, and numbered in its order with no gap, no repetition
// and one offset. late is how many may be missing at the beginning.
func (s *script) compare(t *testing.T, way string, got []numbered, want, late int) {
	t.Helper()
	if len(got) < want {
		t.Errorf("%s: %d packets came, want %d", way, len(got), want)
		return
	}
	first, ok := s.number[string(got[0].payload)]
	if !ok || first > late {
		t.Errorf("%s: the first packet is number %d of the script (known: %t), want one of the first %d", way, first, ok, late)
		return
	}
	for i, p := range got {
		n, ok := s.number[string(p.payload)]
		if !ok {
			t.Errorf("%s: packet %d after the first, seq %d, %d bytes, was changed on its way", way, i, p.seq, len(p.payload))
			return
		}
		if n != first+i || p.seq != got[0].seq+uint16(i) {
			t.Errorf("%s: packet %d after the first holds number %d and has seq %d, want %d and %d",
				way, i, n, p.seq, first+i, got[0].seq+uint16(i))
			return
		}
	}
}

func TestPayloadsPassUntouchedBothWays(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	rig.Together(t, 4, []string{"PCMU", "PCMA", "G722", "opus"}, func(t *testing.T, codec string) { passUntouched(t, s, codec) })
}

func TestPayloadsPassUntouchedWithoutTheTap(t *testing.T) {
	t.Parallel()
	s := newStage(t, rig.Settings{"media.srtp_tap": "false"})
	passUntouched(t, s, "PCMU")
}

func TestTheAgentsChoiceOfCodecIsTheCarriers(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	w := s.worker(t, []string{"G722"}, rig.Fields{"webrtc": rig.Fields{"connector": "nats", "codecs": []string{"G722", "opus"}}}, echo)
	rep := s.dial(t, s.endpoint(t, w).Slug, caller.Options{Codecs: []string{"PCMU", "PCMA", "G722"}, Talk: 2 * time.Second})
	answered(t, rep, "G722")
	if rep.Bursts == 0 {
		t.Errorf("no tone came back: %d packets sent, %d received", rep.Sent, rep.Received)
	}
	w.next(t)
	none := s.dial(t, s.endpoint(t, w).Slug, caller.Options{Codecs: []string{"PCMU"}})
	if none.Status != 488 {
		t.Errorf("a carrier without the agent's codec got %d %s, want 488", none.Status, none.Phrase)
	}
	if n := len(w.took); n != 0 {
		t.Errorf("the agent was offered %d calls that it has no codec for", n)
	}
}

// echo says back what was heard.
func echo(p *rtp.Packet) []byte { return p.Payload }

// bothWays is how many packets each side must get.
const bothWays = 500

// passUntouched talks until both sides have had enough packets and compares
// them. The agent answers each packet that it hears with one of its own.
func passUntouched(t *testing.T, s *stage, codec string) {
	asks, answers := newScript(codec, 1, 3*bothWays), newScript(codec, 2, 3*bothWays)
	said := 0
	w := s.worker(t, []string{codec}, rig.Fields{"webrtc": rig.Fields{"connector": "nats", "no_silence_fill": true}},
		func(*rtp.Packet) []byte { said++; return answers.payloads[said-1] }) // one goroutine: one call
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	var mu sync.Mutex
	var back []numbered
	rep := s.dialUntil(t, ctx, s.endpoint(t, w).Slug, caller.Options{
		Codecs: []string{codec}, Talk: 2 * bothWays * 20 * time.Millisecond,
		Payload: func(n int) []byte { return asks.payloads[n] },
		OnPacket: func(seq uint16, payload []byte) {
			mu.Lock()
			defer mu.Unlock()
			if back = append(back, numbered{seq, append([]byte(nil), payload...)}); len(back) >= bothWays {
				enough()
			}
		}})
	answered(t, rep, codec)
	c := w.next(t)
	heard := c.packets()
	var there []numbered
	for i, p := range heard {
		there = append(there, numbered{p.SequenceNumber, p.Payload})
		step := uint32(i) * uint32(w.codec.ClockRate/50)
		if p.Timestamp != heard[0].Timestamp+step {
			t.Fatalf("caller to agent: packet %d has timestamp %d, want %d", i, p.Timestamp, heard[0].Timestamp+step)
		}
	}
	// The agent may miss packets while it sets its track up, the caller none.
	asks.compare(t, "caller to agent", there, bothWays, 10)
	mu.Lock()
	defer mu.Unlock()
	answers.compare(t, "agent to caller", back, bothWays, 0)
	if rep.Lost != 0 || rep.ByeStatus != 200 {
		t.Errorf("%d packets were lost, BYE got %d, want none and 200", rep.Lost, rep.ByeStatus)
	}
}
