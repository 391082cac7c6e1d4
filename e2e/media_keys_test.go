package e2e_test

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"patchbay/e2e/rig"
	"patchbay/internal/caller"
)

// keys by their RFC 4733 event code.
const keys = "0123456789*#ABCD"

// A press is one key as its telephone-event packets tell it.
type press struct {
	ts       uint32
	key      byte
	duration uint16 // longest
	packets  int
	ends     int // packets that say it was released
}

// presses puts packets of telephone-events together, key by key.
type presses []press

func (p *presses) add(ts uint32, payload []byte) {
	if len(payload) != 4 || payload[0] >= byte(len(keys)) {
		*p = append(*p, press{ts: ts, key: '?'})
		return
	}
	i := slices.IndexFunc(*p, func(k press) bool { return k.ts == ts })
	if i < 0 {
		i, *p = len(*p), append(*p, press{ts: ts, key: keys[payload[0]]})
	}
	k := &(*p)[i]
	k.packets++
	k.duration = max(k.duration, binary.BigEndian.Uint16(payload[2:]))
	if payload[1]&0x80 != 0 {
		k.ends++
	}
}

func (p presses) digits() string {
	var b strings.Builder
	for _, k := range p {
		b.WriteByte(k.key)
	}
	return b.String()
}

func TestDigitsOfTheCarrierReachTheAgent(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	rig.Together(t, 2, []string{"an agent with telephone-event", "an agent without"}, func(t *testing.T, name string) {
		codecs := []string{"PCMU", "telephone-event"}
		if strings.HasSuffix(name, "without") {
			codecs = codecs[:1]
		}
		const digits = "15*#D"
		w := s.worker(t, codecs, nil, echo)
		ep := s.endpoint(t, w)
		done := make(chan caller.Report, 1)
		go func() {
			done <- s.dial(t, ep.Slug, caller.Options{Codecs: []string{"PCMU"}, Talk: 4 * time.Second, Digits: digits})
		}()
		c := w.next(t)
		published := c.events(t)
		for where, from := range map[string]<-chan note{"over the data channel": c.said, "on the subject of the call": published} {
			for i, want := range digits {
				n := expectNote(t, from, where, "dtmf")
				if n.Digit != string(want) || n.DurationMs != 160 || n.CallID != c.told.CallID {
					t.Fatalf("%s event %d is %s, want digit %c for 160 ms of call %s", where, i, n.raw, want, c.told.CallID)
				}
			}
			if n := expectNote(t, from, where, "call.ended"); n.Cause != "normal_clearing" || n.Q850 != 16 {
				t.Errorf("%s the end is %s, want normal_clearing, 16", where, n.raw)
			}
		}
		rep := <-done
		answered(t, rep, "PCMU")
		if rep.DigitsSent != len(digits) || rep.Lost != 0 {
			t.Errorf("the caller sent %d digits and missed %d packets, want %d and none", rep.DigitsSent, rep.Lost, len(digits))
		}
		inBand(t, c, codecs, digits)
	})
}

// inBand checks what the agent got by RTP: the keys, where it takes them, and
// else nothing that it has not asked for, in one unbroken stream.
func inBand(t *testing.T, c *session, codecs []string, digits string) {
	t.Helper()
	heard := c.packets()
	var got presses
	for i, p := range heard {
		switch p.PayloadType {
		case uint8(formats["telephone-event"].PayloadType):
			got.add(p.Timestamp, p.Payload)
		case uint8(formats["PCMU"].PayloadType):
		default:
			t.Fatalf("packet %d has payload type %d, which was not negotiated", i, p.PayloadType)
		}
		if i > 0 && p.SequenceNumber != heard[i-1].SequenceNumber+1 {
			t.Errorf("packet %d has seq %d after %d", i, p.SequenceNumber, heard[i-1].SequenceNumber)
		}
	}
	if len(codecs) == 1 {
		digits = ""
	}
	if got.digits() != digits {
		t.Errorf("by RTP the agent got the digits %q, want %q", got.digits(), digits)
	}
	for _, k := range got {
		if k.duration != 160*8 || k.ends != 3 {
			t.Errorf("by RTP key %c lasted %d ticks and ended %d times, want 1280 and 3", k.key, k.duration, k.ends)
		}
	}
}

func TestDigitsOfTheAgentReachTheCarrier(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	ways := map[string]func(*session, *testing.T, string) note{
		"over the data channel": (*session).ask, "on the subject of the call": (*session).request,
	}
	for way, ask := range ways {
		t.Run(way, func(t *testing.T) {
			w := s.worker(t, []string{"PCMU"}, nil, echo)
			ep := s.endpoint(t, w)
			ctx, over := context.WithCancel(t.Context())
			defer over()
			var mu sync.Mutex
			var got presses
			done := make(chan caller.Report, 1)
			go func() {
				done <- s.dialUntil(t, ctx, ep.Slug, caller.Options{Codecs: []string{"PCMU"}, Talk: talkLimit, OnEvent: func(ts uint32, payload []byte) {
					mu.Lock()
					defer mu.Unlock()
					got.add(ts, payload)
				}})
			}()
			c := w.next(t)
			c.hears(t, 10)
			if n := ask(c, t, `{"id":"7","type":"send_dtmf","digits":"0w9#b"}`); !n.OK || n.ID != "7" {
				t.Errorf("send_dtmf was answered %s, want ok and id 7", n.raw)
			}
			for command, code := range map[string]string{
				`{"id":"8","type":"send_dtmf","digits":"5x"}`:                              "invalid",
				`{"id":"8","type":"send_dtmf"}`:                                            "invalid",
				`{"id":"8","type":"send_dtmf","digits":"` + strings.Repeat("1", 65) + `"}`: "busy",
				`{"id":"8","type":"transfer","to":"sip:a@b.example","mode":"fast"}`:        "invalid",
				`{"id":"8"}`: "invalid",
			} {
				if n := ask(c, t, command); n.OK || n.ID != "8" || n.Error.Code != code {
					t.Errorf("%s was answered %s, want the error %s", command, n.raw, code)
				}
			}
			rig.WaitFor(t, settle, "four keys, the last of them released", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return len(got) >= 4 && got[3].ends >= 3
			})
			time.Sleep(300 * time.Millisecond) // and then nothing
			over()
			rep := <-done
			answered(t, rep, "PCMU")
			mu.Lock()
			defer mu.Unlock()
			if got.digits() != "09#B" {
				t.Errorf("the carrier got the digits %q, want 09#B", got.digits())
			}
			for _, k := range got {
				if k.duration != 800 || k.ends != 3 || k.packets != 7 {
					t.Errorf("key %c lasted %d ticks in %d packets, %d of them its end, want 800, 7 and 3", k.key, k.duration, k.packets, k.ends)
				}
			}
			if len(got) == 4 && got[1].ts-got[0].ts < 600*8 {
				t.Errorf("between 0 and 9 there are %d ticks, want half a second of pause", got[1].ts-got[0].ts)
			}
			if rep.Lost != 0 {
				t.Errorf("the carrier missed %d packets, want none", rep.Lost)
			}
		})
	}
}

func TestAnAgentHangsUp(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	for _, way := range []string{"data channel", "subject", "leaving"} {
		t.Run(way, func(t *testing.T) {
			w := s.worker(t, []string{"PCMU"}, nil, echo)
			ep := s.endpoint(t, w)
			done := make(chan caller.Report, 1)
			go func() { done <- s.dial(t, ep.Slug, caller.Options{Codecs: []string{"PCMU"}, Talk: talkLimit}) }()
			c := w.next(t)
			c.hears(t, 10)
			began := time.Now()
			switch way {
			case "data channel":
				if n := c.ask(t, `{"id":"1","type":"hangup"}`); !n.OK || n.ID != "1" {
					t.Errorf("hangup was answered %s, want ok", n.raw)
				}
			case "subject":
				if n := c.request(t, `{"id":"1","type":"hangup"}`); !n.OK || n.ID != "1" {
					t.Errorf("hangup was answered %s, want ok", n.raw)
				}
			default:
				_ = c.pc.Close()
			}
			rep := <-done
			leftBehind(t, rep, `Q.850;cause=16;text="agent_hangup"`, time.Since(began), settle)
			if end := ended(t, s.Node, string(ep.Key)); end.EndedBy != "agent" || end.Cause != "agent_hangup" {
				t.Errorf("the node says %s ended it for %s, want agent and agent_hangup", end.EndedBy, end.Cause)
			}
			if way != "leaving" {
				if n := c.expect(t, "call.ended"); n.Cause != "agent_hangup" {
					t.Errorf("the agent was told that the end is %s, want agent_hangup", n.Cause)
				}
			}
		})
	}
	s.Idle(t, settle)
}

// leftBehind checks that a caller got a BYE, why, and how soon.
func leftBehind(t *testing.T, rep caller.Report, reason string, took, limit time.Duration) {
	t.Helper()
	answered(t, rep, "PCMU")
	if !rep.EndedByPeer || rep.Reason != reason {
		t.Errorf("a BYE came: %t, with Reason %q, want %q", rep.EndedByPeer, rep.Reason, reason)
	}
	if took > limit {
		t.Errorf("the BYE came after %v, want %v at most", took, limit)
	}
}

// request sends a command on the subject of the call and returns its answer.
func (c *session) request(t *testing.T, command string) note {
	t.Helper()
	m, err := c.conn.Request("pb.v1.call."+c.told.CallID+".do", []byte(command), settle)
	if err != nil {
		t.Fatalf("ask over NATS: %v", err)
	}
	return readNote(t, m.Data)
}

// hears waits until the agent has heard so many packets.
func (c *session) hears(t *testing.T, packets int) []*rtp.Packet {
	t.Helper()
	for end := time.Now().Add(settle); len(c.packets()) < packets; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the agent heard %d packets in %v, want %d", len(c.packets()), settle, packets)
		}
	}
	return c.packets()
}
