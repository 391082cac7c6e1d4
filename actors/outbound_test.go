package actors_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// A caller is the dialog of a call that we place.
type caller struct {
	*dialog
	out      call.Outgoing
	answered bool
	givenUp  bool
}

func (c *caller) Invite(time.Time, call.Offer) []call.Output {
	c.revision++
	return []call.Output{{Send: &call.Transmission{Fill: true, Raw: []byte("INVITE " + c.out.To)}}}
}

func (c *caller) Unsent(now time.Time) []call.Output { return c.fails(now, 503) }
func (c *caller) Heard() bool                        { return c.revision > 1 }

func (c *caller) Bye(now time.Time, cause call.Cause) []call.Output {
	if c.answered {
		return c.dialog.Bye(now, cause)
	}
	c.givenUp = true
	return c.send("CANCEL")
}

func (c *caller) fails(now time.Time, status int) []call.Output {
	c.end = now.Add(time.Second)
	return []call.Output{{Event: &call.Event{Kind: call.CarrierFailed, Status: status, Cause: call.CauseOfStatus(status)}}}
}

func (c *caller) Receive(now time.Time, p call.Packet) []call.Output {
	c.revision++
	pcmu := &call.Answer{Codec: call.Codec{Name: "PCMU"}}
	switch string(p.Raw) {
	case "180":
		return []call.Output{{Event: &call.Event{Kind: call.CarrierRings, Status: 180}}}
	case "183":
		return []call.Output{{Event: &call.Event{Kind: call.CarrierRings, Status: 183, Answer: pcmu}}}
	case "OK":
		c.answered = true
		return append(c.send("ACK"), call.Output{Event: &call.Event{Kind: call.CarrierAnswered, Status: 200, Answer: pcmu}})
	case "486":
		return c.fails(now, 486)
	case "487":
		return c.fails(now, 487)
	}
	return c.dialog.Receive(now, p)
}

func (c *caller) Snapshot() json.RawMessage {
	state, _ := json.Marshal(map[string]any{"ours": true, "answered": c.answered, "to": c.out.To})
	return state
}

func (ph *phone) Call(id call.ID, out call.Outgoing) (actors.Caller, call.Invitation, error) {
	if out.To == "" {
		return nil, call.Invitation{}, &call.WrongOutgoing{Field: "to", Why: "nobody"}
	}
	c := &caller{dialog: &dialog{}, out: out}
	ph.mu.Lock()
	defer ph.mu.Unlock()
	ph.dialogs[id], ph.out = c.dialog, append(ph.out, out)
	return c, call.Invitation{To: call.Party{URI: out.To}, From: call.Party{URI: out.From}, Key: call.TransactionKey{CallID: id.String()}}, nil
}

func (ph *phone) Reserve(req actors.BridgeRequest, post func(call.Event)) actors.Bridge {
	b := ph.Open(req, post)
	if !ph.noPorts {
		post(call.Event{Kind: call.CarrierReady, Offer: &call.Offer{}})
	} else {
		post(call.Event{Kind: call.AgentFailed, Status: 503, Cause: call.CauseNoPorts})
	}
	return b
}

func (b *bridge) Join(a call.Answer) { b.carriers = append(b.carriers, a) }

func openSecret(s endpoint.SecretRef) (string, error) {
	plain, ok := strings.CutPrefix(string(s), "sealed:")
	if !ok {
		return "", errors.New("cannot open " + string(s))
	}
	return plain, nil
}

// errand is a call to be placed.
func errand(id call.ID) actors.Job {
	return actors.Job{V: 1, Key: call.TransactionKey{CallID: id.String(), FromTag: "out", CSeq: 1}, Tenant: "acme", Endpoint: "trunk",
		Agent: &endpoint.Agent{ID: "bot", IsActive: true, WebRTC: endpoint.AgentTransport{Codecs: []string{"PCMU"}}},
		Dial: &actors.Dial{ID: id, Trunk: "t", To: "sip:bob@carrier.example", From: "sip:us@here.example", Username: "u", Password: "sealed:secret",
			Hops: []string{"sip:bob@192.0.2.1"}, MaxForwards: 17, Metadata: json.RawMessage(`{"k":"v"}`), RingTimeoutMs: 30_000}}
}

// place places a call and lets all settle.
func (ph *phone) place(t *testing.T, id call.ID) *bridge {
	t.Helper()
	if taken := ph.Offer(errand(id)); taken.Status != 0 || !taken.New || taken.ID != id {
		t.Fatalf("got %+v", taken)
	}
	synctest.Wait()
	return ph.bridges[id]
}

func (ph *phone) eventNames() string {
	ph.mu.Lock()
	defer ph.mu.Unlock()
	return strings.Join(ph.events, ", ")
}

func TestACallThatWePlaceIsRungAnsweredAndJoinedByItsAgent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		b := ph.place(t, 7)
		ph.says(t, 7, "180")
		if len(b.asked) != 0 {
			t.Fatal("an agent was asked while it rings")
		}
		ph.says(t, 7, "OK")
		if len(b.carriers) != 1 || len(b.asked) != 1 || b.asked[0].Agent.ID != "bot" || string(b.asked[0].Metadata) != `{"k":"v"}` || !b.answered {
			t.Fatalf("bridge %+v", b)
		}
		b.post(call.Event{Kind: call.AgentJoined, Agent: "w1", Dispatch: 1, Answer: &call.Answer{Codec: call.Codec{Name: "PCMU"}}})
		synctest.Wait()
		all, err := ph.List(t.Context())
		if err != nil || len(all) != 1 || all[0].State != call.StateEstablished || all[0].Direction != actors.Outbound || all[0].Trunk != "t" {
			t.Errorf("listed %+v, %v", all, err)
		}
		if live := ph.Live()["trunk"]; !slices.Equal(live, []call.ID{7}) {
			t.Errorf("the trunk's calls: %v", live)
		}
		ph.says(t, 7, "BYE")
		if got := ph.log(); got != "INVITE sip:bob@carrier.example, ACK, 200 BYE" {
			t.Errorf("sent %s", got)
		}
		if got := ph.eventNames(); got != "1 call.started, 2 call.ringing, 3 call.answered, 4 agent.joined, 5 call.ended" {
			t.Errorf("events %s", got)
		}
		if got := strings.Join(b.heard, " "); got != "call.ringing agent.joined call.ended" {
			t.Errorf("the bridge was told %s", got)
		}
		if len(ph.records) != 1 || ph.records[0].Direction != actors.Outbound || ph.records[0].Status != 200 || ph.records[0].Metadata != `{"k":"v"}` {
			t.Errorf("records %+v", ph.records)
		}
		if ph.out[0].Credentials.Password != "secret" || ph.out[0].MaxForwards != 17 || !slices.Equal(ph.request[7].Codecs, []string{"PCMU"}) {
			t.Errorf("dialled %+v with codecs %v", ph.out[0], ph.request[7].Codecs)
		}
	})
}

func TestCallsThatComeToNothingHaveOneRecordEach(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before func(*phone)
		then   func(t *testing.T, ph *phone)
		sent   string
		status int
		cause  call.Cause
	}{
		"busy": {nil, func(t *testing.T, ph *phone) { ph.says(t, 7, "486") }, "INVITE sip:bob@carrier.example", 486, call.CauseCalledBusy},
		"nobody answers": {nil, func(t *testing.T, ph *phone) {
			ph.says(t, 7, "180")
			time.Sleep(31 * time.Second)
			synctest.Wait()
			ph.says(t, 7, "487")
		}, "INVITE sip:bob@carrier.example, CANCEL", 487, call.CauseCalledNoAnswer},
		"hung up": {nil, func(t *testing.T, ph *phone) {
			if err := ph.Hangup(7, call.CauseOperator); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			ph.says(t, 7, "487")
		}, "INVITE sip:bob@carrier.example, CANCEL", 487, call.CauseOperator},
		"no port": {func(ph *phone) { ph.noPorts = true }, func(*testing.T, *phone) {}, "", 0, call.CauseNoPorts},
		"no edge": {nil, func(_ *testing.T, ph *phone) { ph.lost[0](); synctest.Wait() }, "INVITE sip:bob@carrier.example", 503, call.CauseCalledFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ph := newPhone(t, nil)
				if tc.before != nil {
					tc.before(ph)
				}
				b := ph.place(t, 7)
				tc.then(t, ph)
				if got := ph.log(); got != tc.sent {
					t.Errorf("sent %q, want %q", got, tc.sent)
				}
				if len(ph.records) != 1 || ph.records[0].Status != tc.status || ph.records[0].Cause != tc.cause || b.closed != 1 || len(b.asked) != 0 {
					t.Errorf("records %+v, bridge %+v", ph.records, b)
				}
				time.Sleep(time.Minute)
				if n := ph.Count() + ph.Lingering(); n != 0 {
					t.Errorf("%d calls are kept", n)
				}
			})
		})
	}
}

func TestACallIsPlacedOnceHoweverOftenItIsOffered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		ph.place(t, 7)
		for range 3 {
			if taken := ph.Offer(errand(7)); taken.Status != 0 || taken.New || taken.ID != 7 {
				t.Errorf("a copy: %+v", taken)
			}
		}
		ph.says(t, 7, "486")
		time.Sleep(20 * time.Second)
		if taken := ph.Offer(errand(7)); taken.Status != 0 || taken.New || taken.ID != 7 {
			t.Errorf("a copy after the end: %+v", taken)
		}
		if got := ph.log(); got != "INVITE sip:bob@carrier.example" {
			t.Errorf("sent %s", got)
		}
	})
}

func TestACallThatCannotBePlacedSaysWhy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, func(l *actors.CallLimits) { l.MaxCalls = 1 })
		nobody := errand(7)
		nobody.Dial.To = ""
		if taken := ph.Offer(nobody); taken.Status != 400 || taken.Text != "to: nobody" {
			t.Errorf("got %+v", taken)
		}
		spoilt := errand(8)
		spoilt.Dial.Password = "torn"
		if taken := ph.Offer(spoilt); taken.Status != 500 || strings.Contains(taken.Text, "torn") {
			t.Errorf("got %+v", taken)
		}
		ph.place(t, 9)
		if taken := ph.Offer(errand(10)); taken.Status != 503 {
			t.Errorf("a full node: %+v", taken)
		}
	})
}

func TestACallOfANodeThatDiedIsGivenUpByAnother(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		said  []string
		sent  string
		bye   string
		heard int // farewells
	}{
		"while it rings": {[]string{"180"}, "CANCEL", "487", 0},
		"answered":       {[]string{"180", "OK"}, "BYE node_lost", "200", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				dead, survivor := newPhone(t, nil), newPhone(t, nil)
				b := dead.place(t, 7)
				for _, message := range tc.said {
					dead.says(t, 7, message)
				}
				b.post(call.Event{Kind: call.AgentJoined, Agent: "w1", Dispatch: 1, Answer: &call.Answer{Codec: call.Codec{Name: "PCMU"}}})
				synctest.Wait()
				kept := dead.kept[len(dead.kept)-1]
				if kept.Job.Dial == nil || kept.Job.Dial.Password == "secret" {
					t.Fatalf("kept %+v", kept.Job.Dial)
				}
				if err := survivor.Bury(&kept, 2); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if got := survivor.log(); got != tc.sent {
					t.Errorf("sent %q, want %q", got, tc.sent)
				}
				if len(survivor.records) != 1 || survivor.records[0].Cause != call.CauseNodeLost || survivor.records[0].Direction != actors.Outbound || len(survivor.gone) != tc.heard {
					t.Errorf("records %+v, farewells %+v", survivor.records, survivor.gone)
				}
				survivor.says(t, 7, tc.bye)
			})
		})
	}
}

func TestOfTwoCopiesOfACallThatWePlaceOneIsGivenUpWithoutARecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		ph.place(t, 7)
		ph.Yield(7, false)
		synctest.Wait()
		ph.says(t, 7, "487")
		if got := ph.log(); got != "INVITE sip:bob@carrier.example, CANCEL" || len(ph.records) != 0 {
			t.Errorf("sent %s, %d records", got, len(ph.records))
		}
	})
}

func TestCapsOfOutgoingCallsCountWhatMediaNodesReportAndWhatWasJustPlaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		p := actors.NewPlacer(d, d, counting{d})
		two := []actors.Cap{{What: "account", Key: "acct", Calls: 5}, {What: "trunk", Key: "trunk", Calls: 2}}
		var full *actors.Full
		for i, want := range []bool{true, true, false} {
			_, err := p.Place(t.Context(), errand(call.ID(i+1)), two)
			if (err == nil) != want || !want && (!errors.As(err, &full) || full.What != "trunk" || full.Rate) {
				t.Fatalf("call %d: %v", i, err)
			}
		}
		time.Sleep(time.Second)
		d.report("acct", "trunk")
		d.report("acct", "trunk")
		if _, err := p.Place(t.Context(), errand(4), two); !errors.As(err, &full) {
			t.Errorf("while both are reported: %v", err)
		}
		d.report()
		if _, err := p.Place(t.Context(), errand(5), two); err != nil {
			t.Errorf("when both are over: %v", err)
		}
	})
}

func TestARateOfOutgoingCallsIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		p := actors.NewPlacer(d, d, nil)
		rate := []actors.Cap{{What: "account", Key: "acct", PerSecond: 2}}
		refused := 0
		for i := range 10 {
			var full *actors.Full
			if _, err := p.Place(t.Context(), errand(call.ID(i+1)), rate); errors.As(err, &full) && full.Rate {
				refused++
			}
		}
		time.Sleep(time.Second)
		if _, err := p.Place(t.Context(), errand(11), rate); err != nil || refused != 8 {
			t.Errorf("%d of 10 refused; a second later %v", refused, err)
		}
	})
}

func TestAPlaceIsGivenBackWhereNoNodeTakesTheCall(t *testing.T) {
	t.Parallel()
	d := newDesk()
	p := actors.NewPlacer(d, d, nil)
	d.answer = func(actors.Job) (actors.Taken, error) { return actors.Taken{Status: 503}, nil }
	one := []actors.Cap{{What: "trunk", Key: "trunk", Calls: 1}}
	if _, err := p.Place(t.Context(), errand(1), one); !errors.Is(err, actors.ErrBusy) {
		t.Errorf("got %v", err)
	}
	d.answer = nil
	if _, err := p.Place(t.Context(), errand(2), one); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestCapsHoldForManyWhoPlaceAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk()
	p := actors.NewPlacer(d, d, nil)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			_, _ = p.Place(context.Background(), errand(call.ID(i+1)), []actors.Cap{{What: "trunk", Key: "trunk", Calls: 10}})
		})
	}
	wg.Wait()
	if n := d.taken(); n != 10 {
		t.Errorf("%d calls, want 10", n)
	}
}
