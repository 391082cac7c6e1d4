package e2e_test

import (
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pion/rtp"

	"patchbay/e2e/rig"
	"patchbay/internal/caller"
)

// lostLimit is how soon a carrier hears that its agent is lost: 5 s, and what a
// busy machine adds.
const lostLimit = 20 * time.Second

func TestTheCarrierOfALostAgentGetsABye(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	signals := map[string]syscall.Signal{"killed": syscall.SIGKILL, "frozen": syscall.SIGSTOP}
	rig.Together(t, 2, []string{"killed", "frozen"}, func(t *testing.T, how string) {
		a := startAiortc(t)
		ep := a.endpoint(s)
		var at atomic.Pointer[time.Time]
		rep := s.dial(t, ep.Slug, caller.Options{Codecs: []string{"PCMU"}, Talk: talkLimit, OnPacket: atPacket(50, func() {
			now := time.Now()
			at.Store(&now)
			if err := a.cmd.Process.Signal(signals[how]); err != nil {
				t.Error(err)
			}
		})})
		if at.Load() == nil {
			t.Fatalf("the call ended before its agent: %d %s, %s", rep.Status, rep.Phrase, rep.Reason)
		}
		took := time.Since(*at.Load())
		leftBehind(t, rep, `Q.850;cause=41;text="agent_lost"`, took, lostLimit)
		t.Logf("%s: BYE after %v", how, took.Round(time.Millisecond))
		if rep.Lost != 0 || rep.Received < 50+int(took/(40*time.Millisecond)) {
			t.Errorf("the carrier got %d packets and missed %d, want silence to the end", rep.Received, rep.Lost)
		}
		if end := ended(t, s.Node, string(ep.Key)); end.EndedBy != "agent" || end.Cause != "agent_lost" {
			t.Errorf("the node says %s ended it for %s, want agent and agent_lost", end.EndedBy, end.Cause)
		}
	})
	s.Idle(t, settle)
}

func TestACarrierWithoutAudioGetsABye(t *testing.T) {
	t.Parallel()
	const limit = 3 * time.Second // longer than a busy machine keeps our caller from talking
	s := newStage(t, rig.Settings{"media.first_rtp_timeout": limit.String(), "media.rtp_silence_timeout": limit.String()})
	for name, c := range map[string]struct {
		packets int // that the carrier sends
		reason  string
	}{
		"never heard":   {0, `Q.850;cause=102;text="no_first_rtp"`},
		"heard no more": {50, `Q.850;cause=102;text="rtp_timeout"`},
	} {
		t.Run(name, func(t *testing.T) {
			w := s.worker(t, []string{"PCMU"}, nil, echo)
			ep := s.endpoint(t, w)
			say := steady("PCMU", 700)
			rep := s.dial(t, ep.Slug, caller.Options{Codecs: []string{"PCMU"}, Talk: talkLimit, Payload: func(n int) []byte {
				if n >= c.packets {
					return nil
				}
				return say(n)
			}})
			end := ended(t, s.Node, string(ep.Key))
			last := time.Duration(max(c.packets-1, 0)) * 20 * time.Millisecond
			if took := end.Took - last; took < limit || took > limit+10*time.Second {
				t.Errorf("the call ended %v after its last packet or its answer, want %v or little more", took, limit)
			}
			leftBehind(t, rep, c.reason, 0, 0)
			if end.EndedBy != "node" || end.Received != c.packets {
				t.Errorf("the node says %s ended it after %d packets, want node and %d", end.EndedBy, end.Received, c.packets)
			}
		})
	}
	t.Run("pausing", func(t *testing.T) {
		w := s.worker(t, []string{"PCMU"}, nil, echo)
		say := steady("PCMU", 700)
		rep := s.dial(t, s.endpoint(t, w).Slug, caller.Options{Codecs: []string{"PCMU"}, Talk: 4 * time.Second, Payload: func(n int) []byte {
			if n%25 >= 3 { // most of each half second is silent
				return nil
			}
			return say(n)
		}})
		answered(t, rep, "PCMU")
		if rep.EndedByPeer {
			t.Errorf("the call was ended: %s", rep.Reason)
		}
	})
	s.Idle(t, settle)
}

func TestSilenceIsSentForAnAgentThatPauses(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	silences := map[string]byte{"PCMU": 0xff, "PCMA": 0xd5}
	rig.Together(t, 2, []string{"PCMU", "PCMA"}, func(t *testing.T, codec string) {
		heard := 0
		w := s.worker(t, []string{codec}, nil, func(p *rtp.Packet) []byte {
			if heard++; heard > 50 && heard <= 150 { // it is quiet from the second to the fourth second
				return nil
			}
			return p.Payload
		})
		var filled, said atomic.Int32
		rep := s.dial(t, s.endpoint(t, w).Slug, caller.Options{Codecs: []string{codec}, Talk: 4 * time.Second, Payload: steady(codec, 700),
			OnPacket: func(_ uint16, payload []byte) {
				for _, b := range payload {
					if b != silences[codec] {
						said.Add(1)
						return
					}
				}
				filled.Add(1)
			}})
		answered(t, rep, codec)
		// A busy machine's clock skips ticks, and an agent that is late there has
		// its place filled; counts to the packet are media's own tests.
		if rep.Lost != 0 || rep.Received < rep.Sent/2 || rep.Received > rep.Sent*5/4 {
			t.Errorf("the carrier got %d packets for %d and missed %d, want about as many and none", rep.Received, rep.Sent, rep.Lost)
		}
		if n := filled.Load(); n < 30 || n > 150 {
			t.Errorf("%d packets were silence, want those of about two seconds", n)
		}
		if n := said.Load(); n < 60 {
			t.Errorf("%d packets were the agent's, want those of about two seconds", n)
		}
	})
}
