package dialog

import (
	"strings"
	"time"

	"patchbay/actors/call"
	"patchbay/sip/txn"
	"patchbay/sip/wire"
)

// maxDatagramRequest is how long a request may be over UDP, octets: a longer
// one goes over TCP if the callee left that open (RFC 3261 18.1.1).
const maxDatagramRequest = 1300

// hopPatience is how long, in T1, one address of a trunk may say nothing at all
// before the next is tried: four copies of the INVITE have left by then.
const hopPatience = 8

// userAgent is the User-Agent of our requests.
const userAgent = "Patchbay"

// An attempt is one INVITE of ours: the first, one with credentials, or one to
// the next of a trunk's addresses.
type attempt struct {
	tx     txn.InviteClient
	branch string
	seq    uint32
	hop    int
	login  []call.Header // what its ACK repeats (RFC 3261 22.1)
	to     call.Transmission
	sentBy string    // by which the carrier knows us; empty: it said nothing yet
	grown  bool      // over TCP because it is long
	on     call.Flow // by which it was to be sent; the zero one: by any way
	copies int       // sent
	lost   int       // of them, that no edge could send
	cancel txn.Client
}

// start sends a new INVITE to a hop: on flow, where the carrier has just
// answered on it, else by any way.
func (d *UAC) start(now time.Time, hop int, flow call.Flow, datagram bool) {
	d.seq++
	a := &attempt{branch: d.branch(), seq: d.seq, hop: hop, on: flow}
	a.login = d.login.headers("INVITE", bare(d.target))
	next := d.hops[hop]
	if flow.Edge == "" {
		flow = call.Flow{Edge: d.edge, Transport: next.transport(), Advertise: d.options.Advertise}
		if d.target.Scheme == "sips" {
			flow.Transport = call.TLS
		}
	} else if flow.Advertise == "" {
		flow.Advertise = d.options.Advertise
	}
	a.to = back(next.toward(flow), flow)
	raw := d.writeInvite(a)
	if len(raw) > maxDatagramRequest && a.to.Flow.Transport == call.UDP && !datagram && !next.named() {
		flow.Transport, a.grown = call.TCP, true
		a.to = back(next.toward(flow), flow)
		raw = d.writeInvite(a)
	}
	a.tx = txn.StartInviteClient(now, d.options.Timers, a.to.Flow.Transport.Reliable(), raw)
	if hop+1 < len(d.hops) || a.grown {
		a.tx.Hasten(now.Add(hopPatience * d.options.Timers.T1))
	}
	d.attempts = append(d.attempts, a)
	d.revision++
	d.sendInvite(a, raw)
}

func (d *UAC) sendInvite(a *attempt, raw []byte) {
	a.copies++
	tx := a.to
	tx.Raw, tx.Fill = raw, true
	d.send(tx)
}

// back makes a transmission to a name one to the address that its name was
// found to have. Over TLS the name stays: the certificate has it.
func back(tx call.Transmission, flow call.Flow) call.Transmission {
	if tx.Host == "" || tx.To.IsValid() || !flow.Remote.IsValid() || flow.Transport != tx.Flow.Transport {
		return tx
	}
	tx.To = flow.Remote
	if flow.Transport != call.TLS {
		tx.Host = ""
	}
	return tx
}

func (d *UAC) writeInvite(a *attempt) []byte {
	transport := a.to.Flow.Transport
	request := wire.Request{
		Method:      "INVITE",
		URI:         bare(d.target),
		Vias:        []string{wire.Hop{Transport: transport, SentBy: call.SenderHost, Branch: a.branch}.String()},
		From:        d.route.local + ";tag=" + d.tag,
		To:          d.route.remote,
		CallID:      d.callID,
		CSeq:        a.seq,
		Contact:     d.contactAt(call.SenderHost, transport, d.target.Scheme == "sips"),
		MaxForwards: d.left,
		Headers: []call.Header{{Name: "Allow", Value: wire.Allow}, {Name: "Accept", Value: "application/sdp"},
			{Name: "User-Agent", Value: userAgent}},
		ContentType: "application/sdp",
		Body:        d.ourOffer(),
	}
	request.Headers = append(append(append(request.Headers, d.wanted(d.options.SessionExpires, "")...), a.login...), d.headers...)
	return request.Bytes()
}

// within returns the ACK of a refusal, or a CANCEL: requests that go the way of
// their INVITE (RFC 3261 9.1, 17.1.1.3).
func (d *UAC) within(a *attempt, method, to string, extra ...call.Header) []byte {
	return wire.Request{
		Method:  method,
		URI:     bare(d.target),
		Vias:    []string{wire.Hop{Transport: a.to.Flow.Transport, SentBy: a.sentBy, Branch: a.branch}.String()},
		From:    d.route.local + ";tag=" + d.tag,
		To:      to,
		CallID:  d.callID,
		CSeq:    a.seq,
		Headers: extra,
	}.Bytes()
}

// heardFrom notes what a response tells of the way that the INVITE took.
func (a *attempt) heardFrom(m *wire.Message, flow call.Flow) {
	a.sentBy = m.SentBy()
	a.to = back(a.to, flow)
	if flow.Transport == a.to.Flow.Transport {
		a.to.Flow = flow
	}
}

// cancelAttempt sends a CANCEL, once.
func (d *UAC) cancelAttempt(now time.Time, a *attempt, cause call.Cause) {
	if a.cancel.Started() {
		return
	}
	var extra []call.Header
	if v := reasonOf(cause, ""); v != "" {
		extra = append(extra, call.Header{Name: "Reason", Value: v})
	}
	raw := d.within(a, "CANCEL", d.route.remote, extra...)
	a.cancel = txn.StartClient(now, d.options.Timers, a.to.Flow.Transport.Reliable(), raw)
	a.tx.Expect(now)
	d.sendOn(a, raw)
}

// sendOn sends what goes the way of an INVITE.
func (d *UAC) sendOn(a *attempt, raw []byte) {
	tx := a.to
	tx.Raw, tx.Fill = raw, a.sentBy == call.SenderHost
	d.send(tx)
}

// done reports that nothing of the attempt need be kept.
func (a *attempt) done() bool { return a.tx.Done() && a.cancel.Done() }

func (a *attempt) deadline() time.Time { return txn.Earliest(a.tx.Deadline(), a.cancel.Deadline()) }

// is reports whether the attempt has that branch.
func (a *attempt) is(branch string) bool { return strings.EqualFold(a.branch, branch) }

// routeTo returns the route of requests within the dialog that a 2xx has made
// (RFC 3261 12.1.2). Without a usable Contact in it, the callee is sought where
// it was called.
func (d *UAC) routeTo(m *wire.Message) route {
	target, err := m.Contact()
	if err == nil { // shall not keep the message
		target, err = wire.ParseURI(strings.Clone(target.Reveal()))
	}
	if err != nil {
		target = d.target
	}
	r := readRoute(m, target)
	for i, j := 0, len(r.set)-1; i < j; i, j = i+1, j-1 {
		r.set[i], r.set[j] = r.set[j], r.set[i]
	}
	r.local, r.remote = d.route.local, strings.Clone(m.Header("To"))
	return r
}

// writeAck returns the ACK of a 2xx, which is a transaction of its own
// (RFC 3261 13.2.2.4).
func (d *UAC) writeAck(a *attempt, r route, flow call.Flow) call.Transmission {
	request, to, _ := d.along("ACK", &r, a.seq, flow)
	request.Headers = a.login
	to = orBack(to, flow)
	to.Raw = request.Bytes()
	return to
}

// orBack is where a request goes, or to whom a response came from where its route
// does not say.
func orBack(to call.Transmission, flow call.Flow) call.Transmission {
	if !to.To.IsValid() && to.Host == "" {
		to.To = flow.Remote
	}
	return to
}
