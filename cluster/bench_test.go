package cluster_test

import (
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster"
	"patchbay/cluster/envelope"
)

// BenchmarkInvite is one INVITE from an edge to a decider and back, in one
// process: alone, and with 64 on the way at once.
func BenchmarkInvite(b *testing.B) {
	for name, inFlight := range map[string]int{"alone": 1, "64 at once": 64} {
		b.Run(name, func(b *testing.B) {
			c := newConn(b)
			openEndpoints(b, c, func(_ bool, _ endpoint.Invite, _ call.Packet, reply func(cluster.Outcome)) {
				reply(cluster.Outcome{Taken: true})
			})
			r, err := cluster.NewRouter(c, cluster.RouterConfig{MaxPending: 8192, OwnerTimeout: time.Second}, cluster.RouterObserver{})
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			inv, p := invite("c1"), packet(string(make([]byte, 700)))
			slots := make(chan struct{}, inFlight)
			b.ReportAllocs()
			for b.Loop() {
				slots <- struct{}{}
				r.Invite(inv, false, p, func(o cluster.Outcome) {
					if !o.Taken {
						b.Error(o)
					}
					<-slots
				})
			}
			for range inFlight {
				slots <- struct{}{}
			}
		})
	}
}

func BenchmarkTransmit(b *testing.B) {
	c := newConn(b)
	w := cluster.NewWire(c, func(string) bool { return false }, cluster.WireObserver{})
	tx := call.Transmission{Flow: packet("").Flow, Raw: make([]byte, 700)}
	b.ReportAllocs()
	for b.Loop() {
		w.Transmit(tx)
	}
}

func BenchmarkActive(b *testing.B) {
	tb := newTable(b)
	ids := make([]call.ID, 500)
	for i := range ids {
		ids[i] = call.ID(i)
	}
	tb.media("m1", envelope.CallLists{"k": ids})
	tb.media("m2", envelope.CallLists{"other": ids})
	var load actors.Load = tb.Presence
	b.ReportAllocs()
	for b.Loop() {
		if len(load.Active("k")) != 500 {
			b.Fatal("wrong count")
		}
	}
}
