package peer_test

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/media/peer"
)

// What is left of a peer is found when the tests of the package are over.
func TestAPeerThatIsClosedWhileItIsDescribedLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newStack(t, settings(true), peer.Hooks{})
	ctx := t.Context() // many tries: only one that hangs takes for ever
	wanted := peer.Wanted{Codecs: []call.Codec{pcmu}, Channel: true}
	agent := s.Peer(wanted)
	defer agent.Close(call.CauseNormal)
	offer, err := agent.Offer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		for _, describe := range []func(p *peer.Peer){
			func(p *peer.Peer) { _, _ = p.Offer(ctx) },
			func(p *peer.Peer) { _, _ = p.AnswerTo(ctx, offer) },
		} {
			p := s.Peer(wanted)
			var both sync.WaitGroup
			both.Go(func() {
				for began := time.Now(); time.Since(began) < time.Duration(i)*10*time.Microsecond; {
					runtime.Gosched() // a timer is not that exact
				}
				p.Close(call.CauseNormal)
			})
			describe(p)
			both.Wait()
		}
	}
}
