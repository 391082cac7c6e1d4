package edge_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"patchbay/actors/call"
	"patchbay/config"
	"patchbay/internal/testkit/port"
	"patchbay/sip/edge"
)

// placed is an INVITE of ours as a media node writes it.
func placed(transport call.Transport) []byte {
	return []byte("INVITE sip:bob@edge.invalid SIP/2.0\r\n" +
		"Via: SIP/2.0/" + strings.ToUpper(string(transport)) + " edge.invalid;rport;branch=z9hG4bKx\r\n" +
		"From: <sip:alice@edge.invalid>;tag=1\r\nTo: <sip:bob@edge.invalid>\r\nCall-ID: a@edge.invalid\r\nCSeq: 1 INVITE\r\n" +
		"Contact: <sip:token@edge.invalid;transport=" + string(transport) + ">\r\nX-Note: edge.invalid\r\nContent-Length: 12\r\n\r\nedge.invalid")
}

// filledWith is what the carrier is to get of it.
func filledWith(transport call.Transport, host string) string {
	s := string(placed(transport))
	s = strings.Replace(s, " edge.invalid;rport", " "+host+";rport", 1)
	return strings.Replace(s, "token@edge.invalid", "token@"+host, 1)
}

func TestAnInviteOfOursNamesTheEdgeThatSendsIt(t *testing.T) {
	t.Parallel()
	anywhere := func(c *config.SIP) { c.UDP, c.TCP = "0.0.0.0:0", "0.0.0.0:0" }
	for name, tc := range map[string]struct {
		edit func(*config.SIP)
		flow call.Flow
		want func(e *rig) string
	}{
		"its own socket":                {func(*config.SIP) {}, call.Flow{}, func(e *rig) string { return e.Addrs().UDP.String() }},
		"where the packet leaves":       {anywhere, call.Flow{}, func(e *rig) string { return "127.0.0.1:" + portOf(e.Addrs().UDP) }},
		"what it advertises":            {func(c *config.SIP) { c.Advertise = "sbc.example" }, call.Flow{Advertise: "media.example"}, func(*rig) string { return "sbc.example" }},
		"what the media node does else": {func(*config.SIP) {}, call.Flow{Advertise: "media.example:5080"}, func(*rig) string { return "media.example:5080" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := settings()
			tc.edit(&cfg)
			rig := start(t, cfg, rejecting(404))
			there, addr := udpSink(t)
			tc.flow.Transport = call.UDP
			rig.Send(call.Transmission{Flow: tc.flow, To: addr, Fill: true, Raw: placed(call.UDP)}, nil)
			if got, want := there.read(patience), filledWith(call.UDP, tc.want(rig)); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func portOf(a netip.AddrPort) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}

// Over TCP the edge names its listener, not the port that it dialled from, and
// says the same of the flow by which the answer comes.
func TestOverTCPAnInviteOfOursNamesTheListener(t *testing.T) {
	t.Parallel()
	flows := make(chan call.Flow, 1)
	r := rejecting(404)
	r.inDialog = func(_ call.Slot, _ call.ID, p call.Packet, done func(error)) {
		flows <- p.Flow
		done(nil)
	}
	cfg := settings()
	cfg.TCP = "0.0.0.0:0"
	rig := start(t, cfg, r)
	accept, addr := tcpSink(t)
	told := make(chan bool, 1)
	rig.Send(call.Transmission{Flow: call.Flow{Transport: call.TCP}, To: addr, Fill: true, Raw: placed(call.TCP)}, func(sent bool) { told <- sent })
	p := accept()
	listener := "127.0.0.1:" + portOf(rig.Addrs().TCP)
	if got, want := p.read(patience), filledWith(call.TCP, listener); got != want || !take(t, told) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	branch := rig.keys.Branch(3, 5, "call-1", 1)
	p.send("SIP/2.0 180 Ringing\r\nVia: SIP/2.0/TCP " + listener + ";branch=" + branch +
		"\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b@c>;tag=2\r\nCall-ID: call-1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n")
	if flow := take(t, flows); flow.Local.String() != listener || flow.Conn == 0 {
		t.Errorf("the answer came by %+v", flow)
	}
}

func TestWhatCouldNotBeSentIsToldAtOnce(t *testing.T) {
	t.Parallel()
	rig := start(t, settings(), rejecting(404))
	refusing := port.Closed(t)
	for name, tc := range map[string]struct {
		tx   call.Transmission
		drop edge.Drop
	}{
		"nobody listens":       {call.Transmission{Flow: call.Flow{Transport: call.TCP}, To: refusing}, edge.DropDial},
		"of another family":    {call.Transmission{Flow: call.Flow{Transport: call.UDP}, To: netip.MustParseAddrPort("[2001:db8::1]:5060")}, edge.DropNoRoute},
		"a browser's":          {call.Transmission{Flow: call.Flow{Transport: call.WSS}, To: refusing}, edge.DropNoRoute},
		"a name without hosts": {call.Transmission{Flow: call.Flow{Transport: call.UDP}, Host: "nowhere.invalid"}, edge.DropResolve},
	} {
		told := make(chan bool, 1)
		tc.tx.Fill, tc.tx.Raw = true, placed(tc.tx.Flow.Transport)
		rig.Send(tc.tx, func(sent bool) { told <- sent })
		if take(t, told) || rig.seen.of("dropped "+string(tc.drop)) == 0 {
			t.Errorf("%s: counts as sent, or as another fault than %s", name, tc.drop)
		}
	}
}
