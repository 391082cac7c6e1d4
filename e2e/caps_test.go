package e2e_test

import (
	"sync"
	"testing"
	"time"

	"patchbay/control"
	"patchbay/e2e/rig"
)

func TestACallBeyondTheCapIsBusyAndItsCopiesToo(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	both(t, func(t *testing.T, transport string) {
		ep := b.endpoint(t, rig.Fields{"max_concurrent_calls": 1})
		first := b.call(t, transport, ep.Slug)
		b.Play(t, rig.Scenario{File: "busy", Transport: transport, User: ep.Slug}).One(486, "INVITE")
		carrier, refused := b.Dial(t, transport), b.invite(ep.Slug)
		if got := carrier.Final(refused); got.Status() != 486 || got.Header("Retry-After") != "" {
			t.Fatalf("got %q, Retry-After %q, want 486 without: a cap is not the node's trouble", got.Line(), got.Header("Retry-After"))
		}
		first.bye(t)
		free := time.Now()
		rig.WaitFor(t, settle, "a new call accepted", func() bool {
			invite := b.invite(ep.Slug)
			got := first.Final(invite)
			if got.Status() != 200 {
				first.Send(invite.AckOf(got))
				return false
			}
			first.Send(invite.Within(got, "ACK", 1))
			return first.Final(invite.Within(got, "BYE", 2)).Status() == 200
		})
		t.Logf("over %s the place was free again after %v", transport, time.Since(free).Round(time.Millisecond))
		// The place is free, but this INVITE was refused: its copy is no new call.
		again := carrier.Final(refused)
		if again.Status() != 486 {
			t.Errorf("the copy of a refused INVITE got %q, want 486 again", again.Line())
		}
		carrier.Send(refused.AckOf(again))
	})
	b.Idle(t, settle)
}

func TestCallsBeyondTheRateAreBusy(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	both(t, func(t *testing.T, transport string) {
		ep := b.endpoint(t, rig.Fields{"max_calls_per_second": 2})
		// Warm, so that the burst below is decided at once.
		b.call(t, transport, ep.Slug).bye(t)
		time.Sleep(time.Second) // the bucket fills up again
		began := time.Now()
		calls := burst(t, b, transport, ep.Slug, 8)
		late := int(2 * time.Since(began).Seconds()) // a busy machine spreads them: so many more are due
		if calls.accepted < 2 || calls.accepted > 2+late || calls.accepted+calls.refused != 8 {
			t.Errorf("%d accepted and %d refused of 8 at once, want 2 and 6 (or %d more)", calls.accepted, calls.refused, late)
		}
		time.Sleep(time.Second)
		b.call(t, transport, ep.Slug).bye(t)
	})
	b.Idle(t, settle)
}

func TestSixtyCallersAtOnceAtACapOfTenFindTenPlaces(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	const callers, places = 60, 10
	for _, transport := range rig.Transports {
		ep := b.endpoint(t, rig.Fields{"max_concurrent_calls": places})
		for round := range 2 { // the places are all there again
			calls := burst(t, b, transport, ep.Slug, callers)
			if calls.accepted != places || calls.refused != callers-places {
				t.Errorf("over %s, round %d: %d accepted, %d refused of %d, want %d and %d",
					transport, round+1, calls.accepted, calls.refused, callers, places, callers-places)
			}
			b.Idle(t, settle)
			b.free(t, ep.Slug)
		}
	}
	if n := b.echo.Offers(); n != 2*2*places {
		t.Errorf("the agent had %d offers, want %d", n, 2*2*places)
	}
}

// free waits until no call counts against an endpoint's cap: a media node's
// report frees the places, which comes after the end of the calls.
func (b *bed) free(t *testing.T, slug string) {
	t.Helper()
	rig.Eventually(t, settle, "the number of calls that count", 0, func() float64 {
		var x control.ExplanationView
		b.op.Do(t, "call", "explain", control.ExplainRequest{URI: b.URI(slug), Source: "127.0.0.1"}, &x)
		return float64(x.Calls)
	})
}

// A tally counts what became of callers.
type tally struct{ accepted, refused, other int }

// burst lets n callers call at once, each from a socket of its own, and ends
// the calls once all have their answer.
func burst(t *testing.T, b *bed, transport, slug string, n int) tally {
	t.Helper()
	var sum tally
	var mu sync.Mutex
	var answered, all sync.WaitGroup
	start, end := make(chan struct{}), make(chan struct{})
	answered.Add(n)
	for range n {
		p := b.Dial(t, transport)
		all.Go(func() {
			defer p.Close()
			invite := b.invite(slug)
			<-start
			p.Send(invite)
			got, ok := final(p)
			mu.Lock()
			switch {
			case ok && got.Status() == 200:
				sum.accepted++
			case ok && got.Status() == 486:
				sum.refused++
			default:
				sum.other++
			}
			mu.Unlock()
			answered.Done()
			<-end
			if got.Status() != 200 {
				p.Send(invite.AckOf(got))
				return
			}
			p.Send(invite.Within(got, "ACK", 1))
			p.Send(invite.Within(got, "BYE", 2))
			p.Next(time.Second)
		})
	}
	close(start)
	answered.Wait()
	close(end)
	all.Wait()
	if sum.other != 0 {
		t.Errorf("%d of %d callers had neither 200 nor 486", sum.other, n)
	}
	return sum
}

// final waits for a final response without ending the test, as goroutines
// must not.
func final(p *rig.Peer) (rig.Response, bool) {
	for end := time.Now().Add(settle); ; {
		got, ok := p.Next(time.Until(end))
		if !ok || got.Status() >= 200 {
			return got, ok
		}
	}
}
