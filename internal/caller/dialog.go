package caller

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"patchbay/sip/wire"
)

// limits of the messages this caller reads.
var limits = wire.DatagramLimits()

// A dialog is the caller's side of one SIP call (RFC 3261 13.2, 15.1.1).
type dialog struct {
	target Target
	line   *line
	o      Options
	callID string
	tag    string
	host   string // of Via and Contact
	branch string
	to     string // To of the final response, with its tag
	remote string // remote target
	routes []string
	seq    int
}

func newDialog(t Target, l *line, o Options) *dialog {
	host := l.local().String()
	if t.Transport == "ws" || t.Transport == "wss" {
		host = strings.ToLower(rand.Text()[:12]) + ".invalid" // nobody can call a browser (RFC 7118 appendix A)
	}
	return &dialog{target: t, line: l, o: o, host: host, callID: rand.Text(), tag: rand.Text()[:10],
		branch: "z9hG4bK" + rand.Text(), remote: t.URI, to: "<" + plain(t.URI) + ">", seq: 1}
}

func plain(uri string) string { u, _, _ := strings.Cut(uri, ";"); return u }

// request writes one request of the dialog. Contact and routes are ours to add.
func (d *dialog) request(method, uri, branch string, seq int, body string, extra ...string) []byte {
	local, transport := d.host, d.target.Transport
	if transport == "wss" {
		transport = "ws" // in a URI (RFC 7118 5.2.2)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\n", method, uri)
	fmt.Fprintf(&b, "Via: SIP/2.0/%s %s;branch=%s;rport\r\n", strings.ToUpper(d.target.Transport), local, branch)
	for _, r := range d.routes {
		fmt.Fprintf(&b, "Route: %s\r\n", r)
	}
	fmt.Fprintf(&b, "Max-Forwards: 70\r\nFrom: <sip:%s@%s>;tag=%s\r\nTo: %s\r\n", d.o.From, local, d.tag, d.to)
	fmt.Fprintf(&b, "Call-ID: %s\r\nCSeq: %d %s\r\n", d.callID, seq, method)
	fmt.Fprintf(&b, "Contact: <sip:%s@%s;transport=%s>\r\n", d.o.From, local, transport)
	for _, line := range extra {
		b.WriteString(line + "\r\n")
	}
	if body != "" {
		b.WriteString("Content-Type: application/sdp\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return []byte(b.String())
}

// invite sends the INVITE until a final response comes (17.1.1) and returns the
// body of a 2xx, acknowledged.
func (d *dialog) invite(ctx context.Context, offer string, began time.Time, rep *Report) ([]byte, error) {
	msg := d.request("INVITE", d.target.URI, d.branch, d.seq, offer, d.o.Headers...)
	if err := d.line.send(msg); err != nil {
		return nil, fmt.Errorf("send INVITE: %w", err)
	}
	d.o.Progress(Progress{Step: "inviting"})
	wait := d.o.T1
	resend := time.NewTimer(wait)
	defer resend.Stop()
	limit := time.NewTimer(d.o.Ring)
	defer limit.Stop()
	cancelled := ctx.Done()
	for {
		select {
		case raw, ok := <-d.line.in:
			if !ok {
				return nil, ErrClosed
			}
			if body, final := d.answerOf(raw, began, rep); final {
				return body, nil
			}
		case <-resend.C:
			if rep.Status == 0 && d.target.Transport == "udp" {
				_ = d.line.send(msg)
				rep.Retransmits++
				wait *= 2
				resend.Reset(wait)
			}
		case <-cancelled:
			cancelled = nil
			_ = d.line.send(d.request("CANCEL", d.target.URI, d.branch, d.seq, ""))
			limit.Reset(64 * d.o.T1)
		case <-limit.C:
			return nil, fmt.Errorf("after %v: %w", d.o.Ring, ErrNoAnswer)
		}
	}
}

// answerOf takes a response to the INVITE; final says that it was the last.
func (d *dialog) answerOf(raw []byte, began time.Time, rep *Report) (body []byte, final bool) {
	m, fault := wire.Read(raw, limits)
	if fault != nil || m.Status == 0 || m.CallID != d.callID || m.CSeqMethod != "INVITE" {
		return nil, false
	}
	at := time.Since(began)
	rep.Status, rep.Phrase = m.Status, phraseOf(raw)
	switch {
	case m.Status == 100:
		rep.Trying = at
		d.o.Progress(Progress{At: at, Step: "trying"})
		return nil, false
	case m.Status < 200:
		rep.Ringing = at
		d.o.Progress(Progress{At: at, Step: "ringing"})
		return nil, false
	case m.Status >= 300:
		rep.Reason = m.Header("Reason")
		d.to = m.Header("To")
		_ = d.line.send(d.request("ACK", d.target.URI, d.branch, d.seq, ""))
		return nil, true
	}
	rep.Answered = at
	d.o.Progress(Progress{At: at, Step: "answered"})
	d.establish(m)
	d.ack()
	return m.Body(), true
}

func (d *dialog) establish(m *wire.Message) {
	d.to = m.Header("To")
	if c := uriOf(m.Header("Contact")); c != "" {
		d.remote = c
	}
	rr := m.Headers("Record-Route")
	for i := len(rr) - 1; i >= 0; i-- { // 12.1.2: reversed at the caller
		d.routes = append(d.routes, rr[i])
	}
}

func (d *dialog) ack() {
	_ = d.line.send(d.request("ACK", d.remote, "z9hG4bK"+rand.Text(), d.seq, ""))
}

// inDialog takes a message while talking and reports whether the call is over.
func (d *dialog) inDialog(raw []byte, rep *Report) (over bool) {
	m, fault := wire.Read(raw, limits)
	if fault != nil || m.CallID != d.callID {
		return false
	}
	switch {
	case m.Status/100 == 2 && m.CSeqMethod == "INVITE":
		rep.Retransmits++
		d.ack() // 13.2.2.4: each copy of the 2xx
	case m.Method == "BYE" && m.Status == 0:
		rep.EndedByPeer, rep.Reason = true, m.Header("Reason")
		_ = d.line.send(m.Reply(wire.Reply{Status: 200}))
		return true
	case m.Status == 0 && m.Method != "ACK":
		_ = d.line.send(m.Reply(wire.Reply{Status: 405}))
	}
	return false
}

// hangup sends BYE until it is answered, at most 64*T1 (17.1.2).
func (d *dialog) hangup(ctx context.Context, rep *Report) {
	d.seq++
	msg := d.request("BYE", d.remote, "z9hG4bK"+rand.Text(), d.seq, "")
	wait := d.o.T1
	resend := time.NewTimer(0)
	defer resend.Stop()
	limit := time.NewTimer(64 * d.o.T1)
	defer limit.Stop()
	for {
		select {
		case <-resend.C:
			_ = d.line.send(msg)
			if d.target.Transport == "udp" {
				resend.Reset(wait)
				wait = min(2*wait, 8*d.o.T1)
			}
		case raw, ok := <-d.line.in:
			if !ok || d.byeAnswered(raw, rep) {
				return
			}
		case <-limit.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// byeAnswered reports that our BYE is done with, or that theirs crossed it.
func (d *dialog) byeAnswered(raw []byte, rep *Report) bool {
	m, fault := wire.Read(raw, limits)
	if fault == nil && m.Status >= 200 && m.CSeqMethod == "BYE" && m.CallID == d.callID {
		rep.ByeStatus = m.Status
		return true
	}
	return d.inDialog(raw, rep)
}

func phraseOf(raw []byte) string {
	first, _, _ := strings.Cut(string(raw), "\r\n")
	if parts := strings.SplitN(first, " ", 3); len(parts) == 3 {
		return parts[2]
	}
	return ""
}

func uriOf(contact string) string {
	if _, rest, ok := strings.Cut(contact, "<"); ok {
		uri, _, _ := strings.Cut(rest, ">")
		return uri
	}
	return plain(contact)
}
