package media

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/media/rtp"
)

// resolveTime is the longest search for the address of a host that a call goes
// to. It only says which of our own addresses faces that host.
const resolveTime = 2 * time.Second

// Reserve implements [actors.Switchboard]. A node that is full or closed posts
// AgentFailed with 503.
func (n *Node) Reserve(req actors.BridgeRequest, post func(call.Event)) actors.Bridge {
	b := &bridge{node: n, req: req, tell: post, opened: n.now(), cancel: func() {}, outbound: true}
	b.searching.Add(1)
	n.observer.opened()
	if !n.admit(b, b.prepare) {
		b.searching.Done()
		b.closed = true
		ev := failed(errFull)
		n.observer.failed(ev)
		go post(ev) // not from within Reserve: the caller does not hold the bridge yet
	}
	return b
}

// prepare takes the carrier's ports and says what it is offered there.
func (b *bridge) prepare() {
	defer b.searching.Done()
	defer func() {
		if r := recover(); r != nil {
			b.node.panicked(b.req.ID, "reserve", r)
			b.post(failed(fmt.Errorf("reserve: panic")))
		}
	}()
	offer, err := b.ours()
	if err != nil {
		ev := failed(err)
		b.node.observer.failed(ev)
		b.node.log.Info("no port for an outgoing call", "call_id", b.req.ID.String(), "reason", ev.Cause.Word, "err", err)
		b.post(ev)
		return
	}
	b.mu.Lock()
	b.offer = offer
	b.mu.Unlock()
	b.post(call.Event{Kind: call.CarrierReady, Offer: offer})
}

// ours is what we offer a carrier: the codecs of the agents' policy, at a pair
// of ports of the address that faces the carrier.
func (b *bridge) ours() (*call.Offer, error) {
	codecs, dtmf := call.Formats(b.req.Codecs)
	if len(codecs) == 0 {
		return nil, ErrNoCodec
	}
	to := b.node.towards(b.req.Invitation.Source)
	inv := call.Invitation{Offer: &call.Offer{Addr: to}, Source: to.String()}
	b.port.Lock()
	defer b.port.Unlock()
	ports, err := b.node.reserve(inv)
	if err != nil {
		return nil, err
	}
	b.ports = ports
	at := ports.address
	return &call.Offer{Addr: at, RTCP: netip.AddrPortFrom(at.Addr(), at.Port()+1), Codecs: codecs, DTMF: dtmf,
		Ptime: call.OfferedPtime, Direction: call.SendRecv}, nil
}

// anywhere stands for a host that nothing is known of: what faces it faces the
// world. Nothing is ever sent to it.
var anywhere = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), 9) // RFC 5737

// towards is an address of the host that a call goes to, "host:port", or one
// that stands for it.
func (n *Node) towards(hop string) netip.AddrPort {
	if at, err := netip.ParseAddrPort(hop); err == nil {
		return at
	}
	host, _, err := net.SplitHostPort(hop)
	if err != nil {
		host = hop
	}
	if at, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return netip.AddrPortFrom(at, anywhere.Port())
	}
	if n.bind.IsValid() {
		return netip.AddrPortFrom(n.bind, anywhere.Port())
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveTime)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(found) == 0 {
		return anywhere
	}
	return netip.AddrPortFrom(found[0].Unmap(), anywhere.Port())
}

// Join implements [actors.Bridge].
func (b *bridge) Join(answer call.Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.offer == nil || b.ports == nil {
		return
	}
	t := b.agreed(answer)
	if b.carrier != nil {
		b.carrier.renew(b.node.now(), t)
		return
	}
	b.ports.drain()
	b.carrier = b.newCarrier(t, 0, nil)
	b.run(b.carrier)
}

// agreed is what the carrier's answer makes of our offer. What it sends has the
// payload numbers of our offer, and what we send has those of its answer (RFC
// 3264 5.1, 6.1).
func (b *bridge) agreed(answer call.Answer) terms {
	t := terms{
		offer:  call.Offer{Addr: answer.Addr, RTCP: answer.RTCP, RTCPMux: answer.RTCPMux, Direction: answer.Direction, Ptime: answer.Ptime},
		answer: call.Answer{Addr: b.ports.address, Codec: answer.Codec, DTMF: answer.DTMF, Ptime: answer.Ptime, Direction: answer.Direction.Mirror()},
		hold:   true,
		apart:  true,
	}
	t.codec = numbered(b.offer.Codecs, answer.Codec)
	if d := answer.DTMF; d != nil {
		t.keys = numbered(b.offer.DTMF, *d)
	}
	return t
}

// numbered is a format with the payload number that it has in our offer.
func numbered(offered []call.Codec, chosen call.Codec) uint8 {
	i := slices.IndexFunc(offered, func(c call.Codec) bool {
		return strings.EqualFold(c.Name, chosen.Name) && c.ClockRate == chosen.ClockRate
	})
	if i < 0 {
		return chosen.PayloadType
	}
	return offered[i].PayloadType
}

// renew follows another answer of the carrier, before the call is answered:
// another of those who ring has picked up. Nothing was sent yet. An agent that
// hears early media stays, if the codec does.
func (l *carrierLeg) renew(now time.Duration, t terms) {
	l.in.mu.Lock()
	defer l.in.mu.Unlock()
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	before := l.terms
	if before.same(t) || l.in.answered {
		return
	}
	t.agentTerms = l.in.terms
	l.terms = t
	agent, number := l.in.agent, l.out.from
	if before.answer.Codec.Name != t.answer.Codec.Name {
		agent, number = nil, 0
	}
	c := legConfig{terms: t, keys: l.keys, deaf: &l.deaf, limits: l.limits, number: number, toAgent: agent, random: l.random}
	if !l.muxed.Load() {
		c.rtcp = l.rtcp
	}
	l.in.renew(c)
	l.in.latches++ // what the latch before has found counts no more
	l.out.init(now, c)
	l.out.latch = l.in.latches
}

// same reports whether two answers mean the same to us.
func (t terms) same(o terms) bool {
	return t.offer.Addr == o.offer.Addr && t.offer.RTCP == o.offer.RTCP && t.answer.Direction == o.answer.Direction &&
		t.answer.Codec == o.answer.Codec && (t.answer.DTMF == nil) == (o.answer.DTMF == nil) && t.codec == o.codec && t.keys == o.keys
}

// renew begins anew what is known of the carrier's stream.
func (in *inbound) renew(c legConfig) {
	rejected := in.latch.Rejected() + in.rejected
	in.known = [128]bool{}
	in.keys, in.rtcpLearnt, in.lastSR, in.heardRTP = nil, false, 0, false
	in.init(c)
	in.rejected = rejected
}

// release lets the agent be heard by the carrier, which has answered or has our
// answer, and holds the socket to the source that has latched.
func (l *carrierLeg) release() {
	l.out.mu.Lock()
	l.out.held = false
	l.out.mu.Unlock()
	l.in.mu.Lock()
	source, latched := l.in.latch.Source()
	l.in.mu.Unlock()
	if latched {
		l.rtp.Fix(source)
	}
}

// hush is silence, for a carrier whose call no agent has joined yet.
func hush(codec string) [][]byte {
	if silence := rtp.Silence(codec); silence != nil {
		return [][]byte{silence}
	}
	return nil
}
