package rig

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// An Exchange is a client transaction of a phone (RFC 3261 17.1).
type Exchange struct {
	p      *Phone
	text   string
	method string
	came   chan Response
	quiet  atomic.Bool // an INVITE that has a response is not repeated (17.1.1.2)
	final  atomic.Bool
}

// Ask sends a request, and again while it must be.
func (p *Phone) Ask(text string) *Exchange {
	m := Response(text)
	x := &Exchange{p: p, text: text, method: m.Method(), came: make(chan Response, 64)}
	p.mu.Lock()
	p.asked[key(m.Header("Via"), m.Method())] = x
	p.mu.Unlock()
	p.Send(text)
	if p.lines == nil { // else it arrives (17.1.1.2, 17.1.2.2)
		go x.repeat()
	}
	return x
}

func (x *Exchange) repeat() {
	for wait, end := x.p.t1, time.Now().Add(Patience); time.Now().Before(end); {
		select {
		case <-time.After(wait):
		case <-x.p.quit:
			return
		}
		if x.final.Load() {
			return
		}
		if wait *= 2; x.method != "INVITE" {
			wait = min(wait, t2)
		}
		if x.quiet.Load() {
			continue
		}
		x.p.mu.Lock()
		x.p.resent++
		x.p.mu.Unlock()
		x.p.Send(x.text)
	}
}

// take takes a response. A refused INVITE is acknowledged as often as it is
// refused (17.1.1.3).
func (x *Exchange) take(m Response) {
	if x.method == "INVITE" {
		x.quiet.Store(true)
		if m.Status() >= 300 {
			x.p.Send(x.refusalAck(m))
		}
	}
	if m.Status() >= 200 && x.final.Swap(true) {
		x.p.mu.Lock()
		x.p.copies++
		x.p.mu.Unlock()
	}
	select {
	case x.came <- m:
	default: // copies of what the script knows
	}
}

// refusalAck is the INVITE's ACK: its Via, Route and CSeq, the response's To.
func (x *Exchange) refusalAck(m Response) string {
	invite := Response(x.text)
	_, uri, _ := strings.Cut(invite.Line(), " ")
	seq, _, _ := strings.Cut(invite.Header("CSeq"), " ")
	routes := ""
	for _, r := range invite.All("Route") {
		routes += "Route: " + r + "\r\n"
	}
	return fmt.Sprintf("ACK %s\r\nVia: %s\r\n%sMax-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s ACK\r\nContent-Length: 0\r\n\r\n",
		uri, invite.Header("Via"), routes, invite.Header("From"), m.Header("To"), invite.Header("Call-ID"), seq)
}

// Await returns the next response of that status; 1 stands for any provisional
// one. Another final response is an error.
func (x *Exchange) Await(status int) (Response, error) {
	var passed []string
	for end := time.After(Patience); ; {
		select {
		case m := <-x.came:
			if m.Status() == status || status == 1 && m.Status() < 200 {
				return m, nil
			}
			passed = append(passed, m.Line())
			if m.Status() >= 200 {
				return m, fmt.Errorf("%s got %q, want %s", x.method, m.Line(), named(status))
			}
		case <-end:
			return "", fmt.Errorf("%s got no %s within %v, only %q", x.method, named(status), Patience, passed)
		}
	}
}

func named(status int) string {
	if status == 1 {
		return "1xx"
	}
	return strconv.Itoa(status)
}
