package cluster_test

import (
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster"
	"patchbay/cluster/envelope"
	"patchbay/cluster/subject"
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

// BenchmarkTransmit is one response on its way to an edge.
func BenchmarkTransmit(b *testing.B) {
	c := newConn(b)
	sub, err := c.Hot().Subscribe(subject.Send("edge-1"), func(*natsMsg) {})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	w := newWire(b, c, nobodyGone)
	tx := call.Transmission{Flow: packet("").Flow, Raw: append([]byte("SIP/2.0 "), make([]byte, 700)...)}
	b.ReportAllocs()
	for b.Loop() {
		w.Transmit(tx)
	}
}

// BenchmarkInDialog is one in-dialog request from an edge to a call and back.
func BenchmarkInDialog(b *testing.B) {
	c := newConn(b)
	openCalls(b, c, 3).carry(42)
	r := newRouter(b, c, cluster.RouterObserver{})
	p := packet(string(make([]byte, 500)))
	done := make(chan error, 1)
	b.ReportAllocs()
	for b.Loop() {
		r.InDialog(3, 42, p, func(err error) { done <- err })
		if err := <-done; err != nil {
			b.Fatal(err)
		}
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
	b.Run("on one node", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if len(load.Active("k")) != 500 {
				b.Fatal("wrong count")
			}
		}
	})
	tb.media("m3", envelope.CallLists{"k": ids})
	b.Run("on two nodes", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if len(load.Active("k")) != 500 {
				b.Fatal("wrong count")
			}
		}
	})
}
