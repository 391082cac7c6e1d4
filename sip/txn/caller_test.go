package txn_test

import (
	"fmt"
	"testing"
	"time"

	"patchbay/sip/txn"
)

func TestAnInviteIsRepeatedUntilTimerB(t *testing.T) {
	t.Parallel()
	tx := txn.StartInviteClient(epoch, timers, false, []byte("INVITE"))
	copies, timeout := play(&tx, 33*time.Second)
	expect(t, "INVITE", copies, []float64{0.5, 1.5, 3.5, 7.5, 15.5, 31.5})
	if timeout != 32 || tx.Open() || tx.Done() {
		t.Errorf("timer B at %v s, open %t, done %t: want 32, false and false", timeout, tx.Open(), tx.Done())
	}
	if play(&tx, 65*time.Second); !tx.Done() {
		t.Error("64*T1 after timer B something is kept")
	}
	reliable := txn.StartInviteClient(epoch, timers, true, []byte("INVITE"))
	if copies, timeout := play(&reliable, time.Minute); copies != nil || timeout != 32 {
		t.Errorf("over TCP: copies %v, timer B at %v s; want none, and 32", copies, timeout)
	}
}

// TestWhatResponsesMeanToAnInvite is the table of the state machine: for each
// history of responses, what the last of them means and what is left.
func TestWhatResponsesMeanToAnInvite(t *testing.T) {
	t.Parallel()
	const lapse, expect = -1, -2 // calls of methods among the responses
	for _, tc := range []struct {
		history []int
		want    txn.Heard
		open    bool
		pending bool
		ends    float64 // deadline, seconds; 0: none
	}{
		{[]int{100}, txn.HeardProgress, true, true, 0},
		{[]int{100, 183}, txn.HeardProgress, true, true, 0},
		{[]int{200}, txn.HeardAnswer, false, false, 32},
		{[]int{180, 200, 200}, txn.HeardAnswer, false, false, 32},
		{[]int{180, 200, 180}, txn.HeardNothing, false, false, 32},
		{[]int{180, 200, 486}, txn.HeardNothing, false, false, 32},
		{[]int{486}, txn.HeardRefusal, false, false, 32},
		{[]int{486, 486}, txn.HeardRefusalCopy, false, false, 32},
		{[]int{486, 180}, txn.HeardNothing, false, false, 32},
		{[]int{486, 200}, txn.HeardAnswer, false, false, 32},
		{[]int{486, 200, 486}, txn.HeardNothing, false, false, 32},
		{[]int{180, expect, 487}, txn.HeardRefusal, false, false, 32},
		{[]int{180, expect, 180}, txn.HeardProgress, true, true, 32},
		{[]int{expect, 180}, txn.HeardProgress, true, true, 0},
		{[]int{lapse, 180}, txn.HeardProgress, false, false, 32},
		{[]int{lapse, 200}, txn.HeardAnswer, false, false, 32},
		{[]int{lapse, 503}, txn.HeardRefusal, false, false, 32},
		{[]int{486, lapse, 486}, txn.HeardRefusalCopy, false, false, 32},
	} {
		t.Run(fmt.Sprint(tc.history), func(t *testing.T) {
			tx := txn.StartInviteClient(epoch, timers, false, []byte("INVITE"))
			var got txn.Heard
			for _, status := range tc.history {
				switch status {
				case lapse:
					tx.Lapse(epoch)
				case expect:
					tx.Expect(epoch)
				default:
					got = tx.Response(epoch, status)
				}
			}
			ends := 0.0
			if d := tx.Deadline(); !d.IsZero() {
				ends = d.Sub(epoch).Seconds()
			}
			if got != tc.want || tx.Open() != tc.open || tx.Pending() != tc.pending || ends != tc.ends {
				t.Errorf("heard %d, open %t, pending %t, ends at %v s; want %d, %t, %t, %v",
					got, tx.Open(), tx.Pending(), ends, tc.want, tc.open, tc.pending, tc.ends)
			}
		})
	}
}

func TestTheAckOfARefusalIsKeptForTimerD(t *testing.T) {
	t.Parallel()
	for _, reliable := range []bool{false, true} {
		tx := txn.StartInviteClient(epoch, timers, reliable, []byte("INVITE"))
		tx.Response(epoch, 486)
		tx.Acknowledged([]byte("ACK"))
		if string(tx.Ack()) != "ACK" {
			t.Error("the ACK is not there for a copy")
		}
		if got := tx.Deadline().Sub(epoch).Seconds(); got != 32 {
			t.Errorf("reliable %t: timer D at %v s, want 32", reliable, got)
		}
		if play(&tx, time.Minute); !tx.Done() || tx.Ack() != nil {
			t.Error("after timer D something is kept")
		}
	}
}

func TestAFinalResponseIsWaitedForAsLongAsItTakesUntilExpected(t *testing.T) {
	t.Parallel()
	tx := txn.StartInviteClient(epoch, timers, false, []byte("INVITE"))
	tx.Response(epoch, 100)
	if !tx.Deadline().IsZero() {
		t.Error("a ringing INVITE has a deadline of its own")
	}
	tx.Expect(epoch.Add(time.Minute))
	if _, timeout := play(&tx, time.Hour); timeout != 92 {
		t.Errorf("given up at %v s, want 64*T1 after the CANCEL: 92", timeout)
	}
}

func TestAnInviteThatWasNeverSentHearsNothing(t *testing.T) {
	t.Parallel()
	var tx txn.InviteClient
	if tx.Response(epoch, 200) != txn.HeardNothing || tx.Open() || !tx.Done() {
		t.Error("the zero value is not at rest")
	}
}

func TestAnAbandonedRequestIsRepeatedNoMore(t *testing.T) {
	t.Parallel()
	var none txn.Client
	none.Abandon()
	if none.Started() {
		t.Error("one that was never started counts as started")
	}
	c := txn.StartClient(epoch, timers, false, []byte("CANCEL"))
	c.Abandon()
	if copies, timeout := play(&c, time.Minute); copies != nil || timeout >= 0 || !c.Done() {
		t.Errorf("copies %v, timeout %v, done %t", copies, timeout, c.Done())
	}
}
