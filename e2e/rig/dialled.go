package rig

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Timers of the client (RFC 3261 17.1).
const (
	t1 = 500 * time.Millisecond
	t2 = 4 * time.Second
	// giveUp is 64*T1: Timer B, Timer F.
	giveUp = 64 * t1
	// ringing is how long one that rings is waited for, which is no transaction's
	// affair (17.1.1.2).
	ringing = 3 * time.Minute
)

// errSilence is a transaction that got no final response.
var errSilence = errors.New("no final response")

// A Dialled is one call of a Carrier.
type Dialled struct {
	carrier *Carrier
	way     Way
	in      chan incoming
	invite  Request
	twin    Request  // the copy of a forked INVITE
	answer  Response // the 2xx
	next    int      // number of the edge that gets the next message
	sent    net.Conn // that the message before went on; nil over UDP
	cseq    int
	heard   bool // a response to the INVITE
	ear     *ear
	out     Outcome
}

// Sound is what has been heard so far.
func (d *Dialled) Sound() Sound {
	if d.ear == nil {
		return Sound{}
	}
	return d.ear.now()
}

// Expect says whether the other side must hang up.
func (d *Dialled) Expect(byPeer bool) { d.way.ByPeer = byPeer }

// Answer is the 2xx to the INVITE.
func (d *Dialled) Answer() Response { return d.answer }

// With adds header fields, such as "X-Order: 7", to the INVITE, which was not sent
// yet.
func (d *Dialled) With(headers ...string) *Dialled {
	d.invite.Headers = append(d.invite.Headers, headers...)
	return d
}

// CallID is the Call-ID.
func (d *Dialled) CallID() string { return d.invite.CallID }

// Via makes the next message go to the edge of that number.
func (d *Dialled) Via(edge int) { d.next = edge }

// send sends a message to the next edge. One that cannot be reached is left
// out, as a carrier does.
func (d *Dialled) send(r Request) {
	text := r.text(d.carrier.transport, d.carrier.local)
	for range d.carrier.edges {
		var err error
		d.sent, err = d.carrier.send(d.next%len(d.carrier.edges), text)
		d.next++
		if err == nil {
			return
		}
	}
}

// transact sends a request, again while it must be (17.1.1.2, 17.1.2.2), and
// returns its final response. progress hears provisional ones.
func (d *Dialled) transact(r Request, progress func(Response)) (Response, error) {
	d.send(r)
	wait := t1
	again, limit := time.NewTimer(wait), time.NewTimer(giveUp)
	defer again.Stop()
	defer limit.Stop()
	quiet, patience := true, giveUp // nothing heard yet
	resent := 0
	for {
		select {
		case m := <-d.in:
			if m.Status() == 0 || m.Header("CSeq") != fmt.Sprintf("%d %s", r.CSeq, r.Method) || d.merged(m.Response) {
				d.aside(m)
				continue
			}
			d.first(r)
			if d.way.Deaf && resent == 0 && d.carrier.udp != nil {
				continue
			}
			if m.Status() >= 200 {
				return m.Response, nil
			}
			if r.Method == "INVITE" && quiet {
				quiet, patience = false, ringing
				limit.Reset(ringing)
			}
			progress(m.Response)
		case <-again.C:
			if d.carrier.udp != nil && quiet || d.carrier.broken(d.sent) {
				d.send(r)
				resent++
				d.out.Resent++
			}
			wait = min(2*wait, t2)
			again.Reset(wait)
		case <-limit.C:
			return "", fmt.Errorf("%s: %w within %v", r.Method, errSilence, patience)
		}
	}
}

// request is transact with the patience of a carrier: an edge that says 503 is
// passed over, as each next one is, once (RFC 3261 21.5.4).
func (d *Dialled) request(r Request, progress func(Response)) (Request, Response, error) {
	for tries := 1; ; tries++ {
		final, err := d.transact(r, progress)
		if err != nil || final.Status() != 503 || tries == len(d.carrier.edges) {
			return r, final, err
		}
		d.out.Passed++
		if r.Method == "INVITE" {
			d.send(r.AckOf(final))
			d.cseq++
			r.CSeq = d.cseq
		}
		r.Branch = branch()
	}
}

func branch() string { return "z9hG4bK" + rand.Text() }

// first tells that a response to the INVITE has come.
func (d *Dialled) first(r Request) {
	if f := d.way.First; f != nil && r.Branch == d.invite.Branch && !d.heard {
		d.heard = true
		f()
	}
}

// merged reports that a message turns a copy of a forked INVITE away
// (RFC 3261 8.2.2.2).
func (d *Dialled) merged(m Response) bool { return d.way.Fork && m.Status() == 482 }

// aside takes a message that answers no open request: a repeated 2xx, or a
// request of the other side.
func (d *Dialled) aside(m incoming) {
	switch {
	case d.merged(m.Response):
		d.out.Merged++
		for _, copied := range []Request{d.invite, d.twin} {
			if strings.Contains(m.Header("Via"), copied.Branch) {
				d.send(copied.AckOf(m.Response))
			}
		}
	case m.Status()/100 == 2 && strings.HasSuffix(m.Header("CSeq"), " INVITE") && d.answer != "":
		if m.ToTag() == d.answer.ToTag() {
			d.ack(m.Response)
		} else {
			d.out.Doubled = true // not acknowledged: whoever made a second call of it must end it
		}
	case m.Method() == "BYE" && d.answer != "" && !strings.Contains(m.Header("From"), d.answer.ToTag()):
		_ = m.back(replyTo(m.Response, "200 OK")) // of the second call
	case m.Method() == "BYE":
		if !d.out.ByPeer {
			d.out.ByPeer, d.out.Reason, d.out.Ended = true, m.Header("Reason"), time.Now()
		}
		_ = m.back(replyTo(m.Response, "200 OK"))
	case m.Method() != "" && m.Method() != "ACK":
		_ = m.back(replyTo(m.Response, "200 OK"))
	}
}

func (d *Dialled) ack(answer Response) {
	var cseq int
	_, _ = fmt.Sscan(answer.Header("CSeq"), &cseq)
	d.send(d.invite.Within(d.answer, "ACK", cseq))
}

// within is a request of the dialog, with the next CSeq.
func (d *Dialled) within(method string) Request {
	d.cseq++
	return d.invite.Within(d.answer, method, d.cseq)
}

// Invite sends the INVITE and deals with its answer. It reports whether the
// call is up.
func (d *Dialled) Invite(way Way) (up bool) {
	d.way, d.cseq, d.out = way, 1, Outcome{CallID: d.CallID(), At: time.Now(), expects: 200}
	port := silent
	if way.Sound {
		d.ear = newEar(d.carrier.t, d.carrier.local)
		port = d.ear.port()
	}
	d.invite.Body = strings.ReplaceAll(Offer(port), "IP4 127.0.0.1", inNet(netip.MustParseAddr(d.carrier.host())))
	d.twin = d.invite
	if way.Fork {
		d.twin.Branch = branch()
	}
	if way.Fork || way.Twin {
		d.send(d.twin)
	}
	var final Response
	var err error
	d.invite, final, err = d.request(d.invite, func(m Response) {
		if way.Cancel && d.out.expects == 200 {
			d.out.expects = 487
			go d.cancel(d.invite.as(m).Cancel(), d.next)
		}
	})
	if err != nil {
		d.fault("%v", err)
		return false
	}
	d.out.Status, d.out.Setup = final.Status(), time.Since(d.out.At)
	if final.Status() >= 300 {
		d.send(d.invite.AckOf(final))
		return false
	}
	d.answer = final
	d.ack(final)
	if d.ear != nil {
		d.ear.talkTo(final)
	}
	return true
}

// silent is the port that calls without sound offer: nobody listens at it.
const silent = 9

// cancel gives the call up, three times over UDP, for its response is not
// awaited: the INVITE's is.
func (d *Dialled) cancel(r Request, first int) {
	text := r.text(d.carrier.transport, d.carrier.local)
	for i := range 3 {
		edge := (first + i) % len(d.carrier.edges)
		if _, err := d.carrier.send(edge, text); err == nil && d.carrier.udp == nil {
			return
		}
		time.Sleep(t1)
	}
}

func (d *Dialled) fault(format string, args ...any) {
	if d.out.Fault == "" {
		d.out.Fault = fmt.Sprintf(format, args...)
	}
}

// Talk stays in the call for a while, or until ctx ends or the other side does.
func (d *Dialled) Talk(ctx context.Context, hold time.Duration) {
	over := time.NewTimer(hold)
	defer over.Stop()
	for !d.out.ByPeer {
		select {
		case m := <-d.in:
			d.aside(m)
		case <-over.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// Modify asks within the call: OPTIONS, and a re-INVITE that changes nothing.
func (d *Dialled) Modify() {
	if _, res, err := d.request(d.within("OPTIONS"), nothing); err != nil || res.Status() != 200 {
		d.fault("OPTIONS within the call: %q %v", res.Line(), err)
	}
	again := d.within("INVITE")
	again.Body = d.invite.Body
	again, res, err := d.request(again, nothing)
	if err != nil || res.Status() != 200 {
		d.fault("re-INVITE: %q %v", res.Line(), err)
		d.send(again.AckOf(res))
		return
	}
	d.ack(res)
}

func nothing(Response) {}

// answerLost is when a 481 to a BYE was that of a copy: the first was answered
// long before.
const answerLost = 5 * time.Second

// Bye ends the call, unless the other side has.
func (d *Dialled) Bye() {
	if d.out.ByPeer {
		return
	}
	passed, began := d.out.Passed, time.Now()
	d.out.Hung = began
	if d.ear != nil {
		d.ear.hush()
	}
	_, res, err := d.request(d.within("BYE"), nothing)
	switch {
	case err != nil && d.out.ByPeer: // they crossed
	case err != nil:
		d.fault("%v", err)
	default:
		d.out.Bye, d.out.Ended = res.Status(), time.Now()
		if d.out.Bye == 481 && (d.out.Passed > passed || time.Since(began) > answerLost) {
			d.out.Bye = 200 // it was delivered, and the answer lost (RFC 3261 15.1.1)
		}
	}
}

// Run is a whole call. Its end comes early when ctx ends.
func (d *Dialled) Run(ctx context.Context, way Way) Outcome {
	if d.Invite(way) {
		if way.Modify {
			d.Modify()
		}
		d.Talk(ctx, way.Hold)
		d.Bye()
	}
	return d.Close()
}
