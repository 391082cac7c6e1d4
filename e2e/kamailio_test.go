package e2e_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"patchbay/actors/call"
	"patchbay/control"
	"patchbay/e2e/rig"
	"patchbay/internal/testkit/zone"
)

// A call that comes in by a carrier's border: UDP in front of it, TCP behind,
// and two Record-Routes that every later request goes by, both ways.
func TestCallsComeThroughKamailioWithTwoRecordRoutes(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	k := b.Kamailio(t, b.SIP.String()+";transport=tcp")
	uri := "sip:" + b.endpoint(t, nil).Slug + "@" + k.At.String()
	for name, byPeer := range map[string]bool{"the carrier hangs up": false, "the operator hangs up": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			carrier := rig.NewCarrier(t, "udp", rig.Loopback(), []netip.AddrPort{k.At})
			d := carrier.Dial(uri, 0)
			if !d.Invite(rig.Way{Sound: true, ByPeer: byPeer}) {
				t.Fatalf("the call is not up: %+v", d.Close())
			}
			routes := d.Answer().All("Record-Route")
			if len(routes) != 2 || !strings.Contains(routes[0], ";r2=on") || strings.Contains(routes[0], "transport=tcp") == strings.Contains(routes[1], "transport=tcp") {
				t.Errorf("the answer's Record-Routes: %q", routes)
			}
			rig.WaitFor(t, settle, "audio comes back", func() bool { return d.Sound().Heard >= 50 })
			if byPeer {
				b.hangUp(t, d.CallID())
				d.Talk(t.Context(), settle)
			}
			d.Bye()
			if out := d.Close(); out.Fault != "" || out.ByPeer != byPeer || !byPeer && out.Bye != 200 {
				t.Errorf("%+v", out)
			}
		})
	}
	t.Cleanup(func() { b.Idle(t, settle) })
}

// hangUp has the operator end the call of a Call-ID.
func (b *bed) hangUp(t *testing.T, callID string) {
	t.Helper()
	var found control.Page[control.CallView]
	b.op.Do(t, "call", "find", control.CallQuery{Query: callID}, &found)
	if len(found.Items) != 1 {
		t.Fatalf("%d calls have the Call-ID", len(found.Items))
	}
	b.op.Do(t, "call", "hangup", control.ID{ID: found.Items[0].ID.String()}, nil)
}

// A call that is placed to a name: of its first servers, which share the load,
// one is dead and one says 503; the next is a border that stays in the way.
func TestAPlacedCallGoesToTheFirstServerOfItsNameThatTakesIt(t *testing.T) {
	t.Parallel()
	dns := zone.Start(t)
	b := newBed(t, rig.Settings{"sip.dns_servers": dns.Addr().String(), "sip.t1": "250ms"})
	callee := rig.NewCallee(t, rig.Loopback())
	k := b.Kamailio(t, fmt.Sprintf("%s:%d", callee.Host(), callee.Port()))
	dead := b.Port(t, 2)
	var records []string
	for _, over := range []string{"udp", "tcp"} {
		for i, port := range []int{dead, int(k.Busy.Port()), int(k.At.Port())} {
			records = append(records, fmt.Sprintf("_sip._%s.carrier.test. 60 IN SRV %d 10 %d border.carrier.test.", over, i/2, port))
		}
	}
	dns.Set(append(records, "border.carrier.test. 60 IN A 127.0.0.1")...)
	for _, tc := range []struct {
		name, to string
		headers  []call.Header
		routes   int    // Record-Routes: two where Kamailio passes it on another way than it came
		over     string // by which it came to Kamailio
	}{
		{"over UDP", "sip:bob@carrier.test", nil, 1, "UDP"},
		{"over TCP", "sip:bob@carrier.test;transport=tcp", nil, 2, "TCP"},
		{"over TCP because it is long", "sip:bob@carrier.test", []call.Header{{Name: "X-Long", Value: strings.Repeat("a", 1000)}}, 2, "TCP"},
	} {
		v := b.place(t, control.NewCall{To: tc.to, Headers: tc.headers})
		invite := callee.Next("INVITE")
		routes, vias := invite.All("Record-Route"), invite.All("Via")
		if len(routes) != tc.routes || len(vias) != 2 || !strings.HasPrefix(vias[1], "SIP/2.0/"+tc.over+" ") {
			t.Errorf("%s: the INVITE came by %q, with Record-Routes %q", tc.name, vias, routes)
		}
		talk := invite.Answer("a")
		talk.Heard(50)
		b.pausedBehind(t, k, v.ID, talk)
		if tc.routes == 1 {
			talk.Bye(k.At)
			b.ended(t, v.ID, 200, call.CauseNormal, call.ByCarrier)
			continue
		}
		b.leave(t, v.ID, callee)
	}
	b.Idle(t, settle)
}

// pausedBehind has a callee behind Kamailio hold a call and resume it.
func (b *bed) pausedBehind(t *testing.T, k *rig.Kamailio, id call.ID, talk *rig.Talk) {
	t.Helper()
	for _, want := range []struct{ asked, got string }{{"sendonly", "recvonly"}, {"sendrecv", "sendrecv"}} {
		if got := talk.Change(k.At, "INVITE", want.asked); got.Status() != 200 || !strings.Contains(string(got), "a="+want.got) {
			t.Errorf("a re-INVITE for %s got\n%s", want.asked, got)
		}
		rig.Until(t, settle, func() (string, bool) {
			var v control.CallView
			err := b.op.Try("call", "get", control.ID{ID: id.String()}, &v)
			return fmt.Sprintf("after a re-INVITE for %s on hold is %t, %v", want.asked, v.OnHold, err), err == nil && v.OnHold == (want.asked == "sendonly")
		})
	}
	talk.Heard(talk.Count() + 25)
}

// leave has the operator end a call that has come to its callee by Kamailio: the
// BYE comes by both Record-Routes.
func (b *bed) leave(t *testing.T, id call.ID, callee *rig.Callee) {
	t.Helper()
	b.op.Do(t, "call", "hangup", control.ID{ID: id.String()}, nil)
	bye := callee.Next("BYE")
	bye.Reply("200 OK", "", "")
	if bye.Header("X-Routes") != "2" {
		t.Errorf("Kamailio passed this on without two Routes:\n%s", bye.Response)
	}
	b.ended(t, id, 200, call.CauseOperator, call.ByOperator)
}

// The same over TLS: a dead server, one that says 503, and one that shows the
// certificate of the name only where it is asked for it. A second name leads to
// the same server, which has no certificate for it.
func TestAPlacedCallOverTLSGoesToTheServerThatHasTheNameAndTakesIt(t *testing.T) {
	t.Parallel()
	dns := zone.Start(t)
	node := rig.Prepare(t, 1, rig.Settings{"sip.dns_servers": dns.Addr().String()})
	callee := rig.NewCallee(t, rig.Loopback())
	k := node.SecureKamailio(t, fmt.Sprintf("%s:%d", callee.Host(), callee.Port()), "carrier.test")
	records := []string{"carrier.test. 60 IN A 127.0.0.1", "imposter.test. 60 IN A 127.0.0.1",
		fmt.Sprintf("_sips._tcp.imposter.test. 60 IN SRV 0 0 %d carrier.test.", k.TLS.Port())}
	for i, port := range []int{node.Port(t, 2), int(k.BusyTLS.Port()), int(k.TLS.Port())} {
		records = append(records, fmt.Sprintf("_sips._tcp.carrier.test. 60 IN SRV %d 0 %d carrier.test.", i, port))
	}
	dns.Set(records...)
	node.Believes = k.Authority
	node.Run()
	t.Cleanup(func() { node.Stop(t) })
	op := node.Operator(t)
	b := &bed{node, op, op.Echo(t), node.Port(t, 2)}

	v := b.place(t, control.NewCall{To: "sip:bob@carrier.test;transport=tls"})
	invite := callee.Next("INVITE")
	routes, vias := invite.All("Record-Route"), invite.All("Via")
	if len(routes) != 2 || !strings.Contains(routes[1], ";transport=tls;r2=on") || len(vias) != 2 || !strings.HasPrefix(vias[1], "SIP/2.0/TLS ") {
		t.Errorf("the INVITE came by %q, with Record-Routes %q", vias, routes)
	}
	talk := invite.Answer("a")
	talk.Heard(50)
	b.pausedBehind(t, k, v.ID, talk)
	b.leave(t, v.ID, callee)

	v = b.place(t, control.NewCall{To: "sip:bob@imposter.test;transport=tls"})
	b.ended(t, v.ID, 503, call.CauseUnreachable, call.ByCarrier)
	b.Idle(t, settle)
}
