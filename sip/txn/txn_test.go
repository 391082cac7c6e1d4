package txn_test

import (
	"slices"
	"testing"
	"time"

	"patchbay/sip/txn"
)

var (
	timers = txn.Timers{T1: 500 * time.Millisecond, T2: 4 * time.Second, T4: 5 * time.Second}
	epoch  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

// A machine is any transaction in virtual time.
type machine interface {
	Wake(now time.Time) ([]byte, bool)
	Deadline() time.Time
	Done() bool
}

// play wakes m at each of its deadlines until limit and returns when copies
// left, in seconds from epoch, and when it reported its timeout (-1: never).
func play(m machine, limit time.Duration) (copies []float64, timeout float64) {
	timeout = -1
	for {
		at := m.Deadline()
		if at.IsZero() || at.Sub(epoch) > limit {
			return copies, timeout
		}
		raw, late := m.Wake(at)
		if raw != nil {
			copies = append(copies, at.Sub(epoch).Seconds())
		}
		if late {
			timeout = at.Sub(epoch).Seconds()
		}
	}
}

func expect(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: copies at %v s, want %v", what, got, want)
	}
}

var doubling = []float64{0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5}

func TestA2xxIsRepeatedUntilItsAckOnEveryTransport(t *testing.T) {
	t.Parallel()
	for _, reliable := range []bool{false, true} {
		tx := txn.StartInvite(timers, reliable)
		tx.Respond(epoch, 200, []byte("200"))
		copies, timeout := play(&tx, time.Minute)
		expect(t, "200", copies, doubling)
		if timeout != 32 {
			t.Errorf("missing ACK reported at %v s, want 32", timeout)
		}
		if !tx.Done() {
			t.Error("not done")
		}
	}
}

func TestAnAckStopsThe2xxAndIsReportedOnce(t *testing.T) {
	t.Parallel()
	tx := txn.StartInvite(timers, false)
	tx.Respond(epoch, 200, []byte("200"))
	if string(tx.Copy()) != "200" {
		t.Error("a copy of the INVITE before the ACK got no 200")
	}
	if !tx.Ack(epoch) || tx.Ack(epoch) {
		t.Error("the ACK was not reported exactly once")
	}
	if tx.Copy() != nil {
		t.Error("a late copy of the INVITE was answered")
	}
	copies, timeout := play(&tx, time.Minute)
	if len(copies) != 0 || timeout != -1 {
		t.Errorf("after the ACK: copies at %v, timeout at %v", copies, timeout)
	}
}

func TestTimerGRunsOnUnreliableTransportsOnly(t *testing.T) {
	t.Parallel()
	udp := txn.StartInvite(timers, false)
	udp.Respond(epoch, 486, []byte("486"))
	copies, timeout := play(&udp, time.Minute)
	expect(t, "486 over UDP", copies, doubling)
	tcp := txn.StartInvite(timers, true)
	tcp.Respond(epoch, 486, []byte("486"))
	none, _ := play(&tcp, time.Minute)
	expect(t, "486 over TCP", none, nil)
	if timeout != -1 || !udp.Done() || !tcp.Done() {
		t.Error("timer H did not end the transactions silently")
	}
}

func TestTimerIAbsorbsRepeatedAcks(t *testing.T) {
	t.Parallel()
	for reliable, want := range map[bool]time.Time{false: epoch.Add(5 * time.Second), true: {}} {
		tx := txn.StartInvite(timers, reliable)
		tx.Respond(epoch, 486, []byte("486"))
		tx.Ack(epoch)
		if got := tx.Deadline(); !got.Equal(want) {
			t.Errorf("reliable %v: timer I at %v, want %v", reliable, got, want)
		}
	}
}

func TestAFinalResponseIsFinal(t *testing.T) {
	t.Parallel()
	tx := txn.StartInvite(timers, false)
	if !tx.Respond(epoch, 100, []byte("100")) || !tx.Respond(epoch, 180, []byte("180")) {
		t.Fatal("a provisional response was refused")
	}
	if string(tx.Copy()) != "180" {
		t.Error("a copy of the INVITE does not get the last response")
	}
	if !tx.Respond(epoch, 487, []byte("487")) || tx.Respond(epoch, 200, []byte("200")) {
		t.Error("200 was let out after 487")
	}
}

func TestARequestIsRepeatedUntilItsFinalResponse(t *testing.T) {
	t.Parallel()
	silent := txn.StartClient(epoch, timers, false, []byte("BYE"))
	copies, timeout := play(&silent, time.Minute)
	expect(t, "no response", copies, doubling)
	if timeout != 32 {
		t.Errorf("timer F at %v s, want 32", timeout)
	}
	trying := txn.StartClient(epoch, timers, false, []byte("BYE"))
	trying.Response(epoch, 100)
	copies, _ = play(&trying, time.Minute)
	expect(t, "after 100", copies, []float64{0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5}) // timer E runs on (RFC 3261 17.1.2.2)
	answered := txn.StartClient(epoch, timers, false, []byte("BYE"))
	if !answered.Response(epoch, 200) || answered.Response(epoch, 200) {
		t.Error("the final response was not reported exactly once")
	}
	if got := answered.Deadline(); !got.Equal(epoch.Add(timers.T4)) {
		t.Errorf("timer K at %v", got)
	}
	tcp := txn.StartClient(epoch, timers, true, []byte("BYE"))
	copies, timeout = play(&tcp, time.Minute)
	expect(t, "over TCP", copies, nil)
	if timeout != 32 {
		t.Errorf("timer F over TCP at %v s, want 32", timeout)
	}
}

func TestAClientThatWasNeverStartedIsDone(t *testing.T) {
	t.Parallel()
	var c txn.Client
	if !c.Done() || c.Started() || c.Response(epoch, 200) {
		t.Error("the zero Client has a transaction")
	}
}

func TestAnswersAreRememberedForTimerJ(t *testing.T) {
	t.Parallel()
	var a txn.Answers
	bye := txn.Request{Branch: "z9hG4bK1", Method: "BYE", Seq: 2}
	a.Keep(epoch, timers, false, bye, []byte("200"))
	a.Keep(epoch, timers, true, txn.Request{Branch: "z9hG4bK2", Method: "INFO", Seq: 3}, []byte("405"))
	if string(a.Find(bye)) != "200" {
		t.Error("a copy of the BYE found no answer")
	}
	if a.Find(txn.Request{Branch: "z9hG4bK1", Method: "INFO", Seq: 2}) != nil {
		t.Error("another method found the answer")
	}
	if got := a.Deadline(); !got.Equal(epoch.Add(timers.T4)) {
		t.Errorf("deadline %v", got)
	}
	a.Wake(epoch.Add(timers.T4))
	if a.Empty() || a.Find(bye) == nil {
		t.Error("the BYE's answer was forgotten too early")
	}
	a.Wake(epoch.Add(32 * time.Second))
	if !a.Empty() {
		t.Error("timer J did not forget")
	}
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	var a txn.Answers
	for seq := range uint32(100) {
		a.Keep(epoch, timers, false, txn.Request{Method: "INFO", Seq: seq}, []byte("405"))
	}
	if a.Find(txn.Request{Method: "INFO", Seq: 99}) == nil {
		t.Error("the newest answer is missing")
	}
	if a.Find(txn.Request{Method: "INFO", Seq: 99 - txn.MaxAnswers}) != nil {
		t.Error("more than MaxAnswers are kept")
	}
}
