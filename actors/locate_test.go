package actors_test

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
)

// Targets implements actors.Seeker.
func (c *caller) Targets() []call.Target { return []call.Target{{Host: "carrier.example"}} }

// Located implements actors.Seeker.
func (c *caller) Located(all [][]call.Hop) { c.out.To += fmt.Sprint(" at ", all) }

// slow is a Locator that takes its time.
type slow struct {
	took  time.Duration
	asked []call.Target
}

func (s *slow) Locate(targets []call.Target, found func([][]call.Hop)) {
	s.asked = append(s.asked, targets...)
	time.AfterFunc(s.took, func() {
		found([][]call.Hop{{{Transport: call.TCP, Addr: netip.MustParseAddrPort("192.0.2.1:5060"), Name: "carrier.example"}}})
	})
}

// seeking is a phone whose calls are looked up.
func seeking(t *testing.T, l actors.Locator) *phone {
	ph := newPhone(t, nil)
	limits := actors.CallLimits{Loops: 4, Mailbox: 4096, MaxCalls: 100, AgentTimeout: 20 * time.Second, MaxDuration: time.Hour, T1: t1}
	ph.Calls = actors.NewCalls("m1", limits, actors.CallPorts{Dialogs: ph, Wire: ph, Switchboard: ph, Ledger: ph, Rulings: ph, Open: openSecret, Locator: l},
		func() call.ID { return 1 }, actors.CallObserver{})
	t.Cleanup(ph.Stop)
	return ph
}

// seek places call 7, whose hops are being looked up then.
func seek(t *testing.T, ph *phone) {
	t.Helper()
	if taken := ph.Offer(errand(7)); taken.Status != 0 {
		t.Fatalf("got %+v", taken)
	}
	synctest.Wait()
}

// reserved reports that a port was taken for a call.
func (ph *phone) reserved(id call.ID) bool {
	ph.mu.Lock()
	defer ph.mu.Unlock()
	return ph.bridges[id] != nil
}

func TestTheHopsOfACallAreLookedUpOnceAndBeforeAPortIsTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &slow{took: 3 * time.Second}
		ph := seeking(t, l)
		if seek(t, ph); ph.reserved(7) {
			t.Fatal("a port was taken before it is known where the call goes")
		}
		time.Sleep(l.took)
		synctest.Wait()
		if !ph.reserved(7) || ph.request[7].Invitation.Source != "192.0.2.1:5060" || len(l.asked) != 1 || l.asked[0].Host != "carrier.example" {
			t.Fatalf("asked for %v", l.asked)
		}
		ph.says(t, 7, "OK")
	})
}

func TestACallThatEndsWhileItsHopsAreLookedUpTakesNoPort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ph := seeking(t, &slow{took: 3 * time.Second})
		seek(t, ph)
		if err := ph.Hangup(7, call.CauseOperator); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if ph.reserved(7) || len(ph.records) != 1 || ph.Count() != 0 {
			t.Errorf("%d records, %d live, a port: %t", len(ph.records), ph.Count(), ph.reserved(7))
		}
	})
}
