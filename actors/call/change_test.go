package call_test

import (
	"net/netip"
	"testing"
	"time"

	"patchbay/actors/call"
)

var (
	ulaw = call.Codec{PayloadType: 0, Name: "PCMU", ClockRate: 8000}
	alaw = call.Codec{PayloadType: 8, Name: "PCMA", ClockRate: 8000}
	wide = call.Codec{PayloadType: 9, Name: "G722", ClockRate: 8000}
	keys = call.Codec{PayloadType: 101, Name: "telephone-event", ClockRate: 8000}
	ours = netip.MustParseAddrPort("198.51.100.9:20000")
	now0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

// talking is a call with PCMU that its carrier has acknowledged.
func talking(t *testing.T, mux bool) *call.Call {
	t.Helper()
	c := call.New(call.Params{ID: 1, AgentTimeout: time.Second, MaxDuration: time.Hour})
	c.Step(now0, call.Event{Kind: call.Invited})
	c.Step(now0, call.Event{Kind: call.AgentJoined, Answer: &call.Answer{Addr: ours, Codec: ulaw, DTMF: &keys, Ptime: 20, RTCPMux: mux, Direction: call.SendRecv}})
	c.Step(now0, call.Event{Kind: call.Acked})
	if c.State() != call.StateEstablished {
		t.Fatal(c.State())
	}
	return c
}

func TestWhatACarrierOffersInACallIsAnsweredWithTheAgentsCodec(t *testing.T) {
	t.Parallel()
	at := netip.MustParseAddrPort("192.0.2.7:4000")
	renumbered := ulaw
	renumbered.PayloadType = 99
	for name, tc := range map[string]struct {
		offer  call.Offer
		mux    bool
		status int
		cause  call.Cause
		check  func(a call.Agreement) bool
	}{
		"with other numbers": {offer: call.Offer{Addr: at, Codecs: []call.Codec{alaw, renumbered}, DTMF: []call.Codec{keys}}, status: 200,
			check: func(a call.Agreement) bool {
				return a.Ours.Codec == renumbered && a.Carrier.Codec == renumbered && a.Ours.DTMF != nil && a.Ours.Addr == ours && a.Carrier.Addr == at
			}},
		"without keys": {offer: call.Offer{Addr: at, Codecs: []call.Codec{ulaw}}, status: 200,
			check: func(a call.Agreement) bool { return a.Ours.DTMF == nil && a.Carrier.DTMF == nil }},
		"with keys of another clock": {offer: call.Offer{Addr: at, Codecs: []call.Codec{ulaw}, DTMF: []call.Codec{{PayloadType: 102, ClockRate: 48000}}}, status: 200,
			check: func(a call.Agreement) bool { return a.Ours.DTMF == nil }},
		"multiplexed where we are not": {offer: call.Offer{Addr: at, RTCPMux: true, Codecs: []call.Codec{ulaw}}, status: 200,
			check: func(a call.Agreement) bool {
				return !a.Ours.RTCPMux && !a.Carrier.RTCPMux && a.Carrier.RTCP == netip.MustParseAddrPort("192.0.2.7:4001")
			}},
		"multiplexed as we are": {offer: call.Offer{Addr: at, RTCPMux: true, Codecs: []call.Codec{ulaw}}, mux: true, status: 200,
			check: func(a call.Agreement) bool { return a.Ours.RTCPMux && a.Carrier.RTCPMux && !a.Carrier.RTCP.IsValid() }},
		"nowhere": {offer: call.Offer{Addr: netip.MustParseAddrPort("[::]:4000"), Codecs: []call.Codec{ulaw}, Direction: call.SendOnly}, status: 200,
			check: func(a call.Agreement) bool { return a.Ours.Direction == call.RecvOnly }},
		"with the other law": {offer: call.Offer{Addr: at, Codecs: []call.Codec{alaw}}, status: 200,
			check: func(a call.Agreement) bool { return a.Ours.Codec == alaw && a.Carrier.Codec == alaw }},
		"without the codec":    {offer: call.Offer{Addr: at, Codecs: []call.Codec{wide}}, status: 488, cause: call.CauseNoCodec},
		"in the other network": {offer: call.Offer{Addr: netip.MustParseAddrPort("[2001:db8::1]:4000"), Codecs: []call.Codec{ulaw}}, status: 488, cause: call.CauseBadOffer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := talking(t, tc.mux)
			var agreed *call.Agreement
			var response *call.Response
			for _, e := range c.Step(now0, call.Event{Kind: call.CarrierOffered, Offer: &tc.offer}) {
				switch e.Do {
				case call.UpdateMedia:
					agreed = e.Agreement
				case call.AnswerOffer:
					r := e.Response
					response = &r
				}
			}
			if response == nil || response.Status != tc.status || response.Cause != tc.cause || c.State() != call.StateEstablished {
				t.Fatalf("answered %+v, the call is %s", response, c.State())
			}
			if (agreed != nil) != (tc.check != nil) || agreed != nil && !tc.check(*agreed) {
				t.Errorf("agreed on %+v", agreed)
			}
		})
	}
}

func TestAMediaTimeoutThatCrossesAHoldIsNone(t *testing.T) {
	t.Parallel()
	c := talking(t, false)
	offer := call.Offer{Addr: netip.MustParseAddrPort("192.0.2.7:4000"), Codecs: []call.Codec{ulaw}, Direction: call.SendOnly}
	c.Step(now0, call.Event{Kind: call.CarrierOffered, Offer: &offer})
	if effects := c.Step(now0, call.Event{Kind: call.MediaTimeout, Cause: call.CauseRTPTimeout}); len(effects) != 0 || !c.OnHold() {
		t.Fatalf("on hold %v, effects %v", c.OnHold(), effects)
	}
	offer.Direction = call.SendRecv
	c.Step(now0.Add(90*time.Second), call.Event{Kind: call.CarrierOffered, Offer: &offer})
	c.Step(now0.Add(100*time.Second), call.Event{Kind: call.MediaTimeout, Cause: call.CauseRTPTimeout})
	if rec := c.Record(); c.State() != call.StateEnding || rec.Cause != call.CauseRTPTimeout || rec.Holds != 1 || rec.HeldMs != 90_000 {
		t.Errorf("%s, %+v", c.State(), rec)
	}
}

func TestACallThatWePlacedAnswersWithWhatItsCarrierChose(t *testing.T) {
	t.Parallel()
	c := call.New(call.Params{ID: 1, Outbound: true, AgentTimeout: time.Second, RingTimeout: time.Minute})
	c.Step(now0, call.Event{Kind: call.Placed})
	mine := alaw
	mine.PayloadType = 118
	c.Step(now0, call.Event{Kind: call.CarrierReady, Offer: &call.Offer{Addr: ours, Codecs: []call.Codec{ulaw, mine}, DTMF: []call.Codec{keys}}})
	at := netip.MustParseAddrPort("192.0.2.7:4000")
	c.Step(now0, call.Event{Kind: call.CarrierAnswered, Status: 200, Answer: &call.Answer{Addr: at, Codec: alaw, DTMF: &keys, Direction: call.SendRecv}})
	for _, e := range c.Step(now0, call.Event{Kind: call.CarrierOffered}) {
		if o := e.Response.Offer; e.Do != call.AnswerOffer || o == nil || o.Addr != ours || len(o.Codecs) != 1 || o.Codecs[0] != mine {
			t.Errorf("%s %+v: want our own number of the codec", e.Do, o)
		}
	}
	for _, e := range c.Step(now0, call.Event{Kind: call.CarrierSettled, Answer: &call.Answer{Addr: at, Codec: alaw, Direction: call.RecvOnly}}) {
		if a := e.Agreement; e.Do != call.UpdateMedia || a.Ours.Codec != mine || a.Carrier.Codec != alaw || a.Ours.Direction != call.SendOnly || a.Ours.DTMF != nil {
			t.Errorf("%s %+v", e.Do, a)
		}
	}
}

func TestACallThatBeginsOnHoldSaysSo(t *testing.T) {
	t.Parallel()
	c := call.New(call.Params{ID: 1, AgentTimeout: time.Second})
	c.Step(now0, call.Event{Kind: call.Invited})
	var told []string
	for _, e := range c.Step(now0, call.Event{Kind: call.AgentJoined, Answer: &call.Answer{Addr: ours, Codec: ulaw, Direction: call.RecvOnly}}) {
		if e.Do == call.Emit {
			told = append(told, e.Name)
		}
	}
	if len(told) != 2 || told[0] != call.EventAnswered || told[1] != call.EventHeld || !c.OnHold() {
		t.Errorf("told %v, on hold %v", told, c.OnHold())
	}
}
