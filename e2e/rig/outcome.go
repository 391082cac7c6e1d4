package rig

import (
	"fmt"
	"strings"
	"time"
)

// A Way is how a call goes.
type Way struct {
	Hold   time.Duration // from the answer to our BYE
	Cancel bool          // give up at the first provisional response
	Deaf   bool          // over UDP: miss the first responses to each request, so that it is repeated
	Modify bool          // OPTIONS and a re-INVITE within the call
	Sound  bool          // send audio and listen to what comes back
	Twin   bool          // a copy of the INVITE through another edge at the same moment
	Fork   bool          // the same with a branch of its own: one of the two must get 482
	ByPeer bool          // the other side must hang up
	First  func()        // runs when the first response to the INVITE comes, missed or not; nil: nothing
}

// An Outcome is what became of a call.
type Outcome struct {
	CallID  string
	Status  int           // final response to the INVITE; 0: none came
	Setup   time.Duration // from the INVITE to it
	At      time.Time     // when the INVITE was sent first
	Hung    time.Time     // when we sent our BYE first
	Bye     int           // response to our BYE; 0: none sent, or none came
	ByPeer  bool          // the other side ended it
	Reason  string        // Reason of the other side's BYE
	Ended   time.Time     // when the BYE came, or ours was answered
	Resent  int           // requests that we repeated
	Passed  int           // edges that said 503
	Doubled bool          // a second call was made of the INVITE, and answered
	Merged  int           // 482 that came to forked INVITEs
	Sound   Sound
	Fault   string // what did not go as it must; "": nothing
	expects int    // status that the way makes right
}

// Close forgets the call and says what became of it.
func (d *Dialled) Close() Outcome {
	d.carrier.forget(d)
	if d.ear != nil {
		d.out.Sound = d.ear.close()
	}
	o := &d.out
	switch {
	case o.Fault != "":
	case o.Status != o.expects:
		d.fault("the INVITE got %d, want %d", o.Status, o.expects)
	case o.Status == 200 && o.ByPeer != d.way.ByPeer:
		d.fault("the other side hung up: %v (%s)", o.ByPeer, o.Reason)
	case o.Status == 200 && !o.ByPeer && o.Bye != 200:
		d.fault("BYE got %d", o.Bye)
	case d.way.Fork && (o.Merged == 0 || o.Merged > 1+o.Resent):
		d.fault("%d copies of the INVITE got 482, want 1, and %d were repeated", o.Merged, o.Resent)
	}
	return d.out
}

// replyTo is the response to a request that has a status line's end, such as
// "200 OK".
func replyTo(request Response, status string) string {
	var b strings.Builder
	b.WriteString("SIP/2.0 " + status + "\r\n")
	for _, line := range lines("Via", request.All("Via")) {
		b.WriteString(line + "\r\n")
	}
	for _, name := range []string{"From", "To", "Call-ID", "CSeq"} {
		fmt.Fprintf(&b, "%s: %s\r\n", name, request.Header(name))
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	return b.String()
}
