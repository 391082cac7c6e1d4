package e2e_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/control"
	"patchbay/e2e/rig"
	"patchbay/internal/testkit/zone"
)

// The name leads nowhere, or nobody knows: the call ends as one that nobody can
// be reached for.
func TestAPlacedCallToANameThatLeadsNowhereIsUnreachable(t *testing.T) {
	t.Parallel()
	dns := zone.Start(t, "_sip._udp.refused.test. 60 IN SRV 0 0 0 .")
	b := newBed(t, rig.Settings{"sip.dns_servers": dns.Addr().String()})
	for _, host := range []string{"nowhere.test", "refused.test"} {
		v := b.place(t, control.NewCall{To: "sip:bob@" + host})
		b.ended(t, v.ID, 503, call.CauseUnreachable, call.ByCarrier)
	}
	if n := b.Metric("patchbay_dns_questions_total"); n == 0 {
		t.Error("no question is counted")
	}
	b.Idle(t, settle)
}

// Everything over IPv6: SIP, SDP and RTP, calls that come in and calls that are
// placed, by address and by a name that has no other.
func TestCallsOverIPv6(t *testing.T) {
	t.Parallel()
	dns := zone.Start(t, "six.carrier.test. 60 IN AAAA ::1")
	node := rig.StartSix(t, rig.Settings{"sip.dns_servers": dns.Addr().String()})
	op := node.Operator(t)
	b := &bed{node, op, op.Echo(t), node.Port(t, 2)}
	six := netip.IPv6Loopback()
	uri := b.URI(b.endpoint(t, nil).Slug)
	for _, over := range rig.Transports {
		d := rig.NewCarrier(t, over, six, []netip.AddrPort{b.SIP}).Dial(uri, 0)
		out := d.Run(t.Context(), rig.Way{Sound: true, Hold: 2 * time.Second})
		if out.Fault != "" || out.Status != 200 || out.Bye != 200 || out.Sound.Heard < 25 || !strings.Contains(string(d.Answer()), "c=IN IP6 ::1") {
			t.Errorf("over %s: %+v\n%s", over, out, d.Answer())
		}
	}
	callee := rig.NewCallee(t, six)
	trunk := b.trunk(t, nil, callee)
	named := fmt.Sprintf("sip:bob@six.carrier.test:%d", callee.Port())
	for name, in := range map[string]control.NewCall{"an address": {To: callee.URI("bob")}, "a trunk": {To: "+15550199", Trunk: trunk.ID}, "a name": {To: named}} {
		v := b.place(t, in)
		invite := callee.Next("INVITE")
		if !strings.Contains(string(invite.Response), "c=IN IP6 ::1") || !strings.Contains(invite.Header("Contact"), "@[::1]:") {
			t.Errorf("%s: the INVITE:\n%s", name, invite.Response)
		}
		talk := invite.Answer("a")
		talk.Heard(25)
		talk.Bye(b.SIP)
		b.ended(t, v.ID, 200, call.CauseNormal, call.ByCarrier)
	}
	b.Idle(t, settle)
}

// Over TLS the certificate must be for the name in the URI, by an authority that
// the node believes, whatever server DNS leads to (RFC 5922 4).
func TestAPlacedCallOverTLSGoesOnlyToWhoeverHasTheNameOfItsURI(t *testing.T) {
	t.Parallel()
	callee := rig.NewSecureCallee(t, "carrier.test", "486 Busy Here")
	dns := zone.Start(t, "sbc.test. 60 IN A 127.0.0.1", fmt.Sprintf("_sips._tcp.carrier.test. 60 IN SRV 0 0 %d sbc.test.", callee.Port),
		fmt.Sprintf("_sips._tcp.imposter.test. 60 IN SRV 0 0 %d sbc.test.", callee.Port))
	node := rig.Prepare(t, 1, rig.Settings{"sip.dns_servers": dns.Addr().String()})
	node.Believes = callee.Authority
	node.Run()
	t.Cleanup(func() { node.Stop(t) })
	op := node.Operator(t)
	b := &bed{node, op, op.Echo(t), node.Port(t, 2)}

	v := b.place(t, control.NewCall{To: "sip:bob@carrier.test;transport=tls"})
	b.ended(t, v.ID, 486, call.CauseCalledBusy, call.ByCarrier)
	invite := <-callee.Invites
	if asked := <-callee.Asked; asked != "carrier.test" || !strings.HasPrefix(invite.Header("Via"), "SIP/2.0/TLS ") {
		t.Errorf("asked for %q (SNI), Via %q", asked, invite.Header("Via"))
	}

	v = b.place(t, control.NewCall{To: "sip:bob@imposter.test;transport=tls"})
	b.ended(t, v.ID, 503, call.CauseUnreachable, call.ByCarrier)
	if len(callee.Invites) != 0 {
		t.Error("an INVITE went to a server that has another name")
	}
	if log := b.Log(); !strings.Contains(log, "the peer's certificate is not believed") || !strings.Contains(log, "certificate is valid for carrier.test, not imposter.test") {
		t.Error("why it was not believed is not in the log")
	}
	b.Idle(t, settle)
}
