package caller

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Options says what to call and how. The zero value of each field is usable.
type Options struct {
	URI       string                           // sip:<user>@<host>[:port][;transport=udp|tcp|tls|ws|wss], or sips:
	Via       netip.AddrPort                   // send here instead of the URI's host
	Edges     []netip.AddrPort                 // send each message to the next of these instead; a TCP, TLS or WebSocket connection with each
	TLS       *tls.Config                      // whom to believe over TLS; nil: whom this machine believes
	Local     netip.Addr                       // address to call from; zero: whatever faces the target
	From      string                           // user part of From; "": patchbay-caller
	Headers   []string                         // further header lines of the INVITE, "Name: value"
	Codecs    []string                         // offered, in this order; empty: PCMU, PCMA, G722; opus needs Payload
	Talk      time.Duration                    // how long to talk once answered; 0: 3 s
	Ring      time.Duration                    // longest wait for a final response; 0: 32 s
	T1        time.Duration                    // RFC 3261 T1; 0: 500 ms
	Tone      float64                          // Hz; 0: 1000
	WaitBye   bool                             // let the other side hang up, at most Talk
	Progress  func(Progress)                   // hears each step; nil: nobody
	Payload   func(n int) []byte               // audio of packet n instead of the tone; nil: the packet is not sent
	OnPacket  func(seq uint16, payload []byte) // hears each RTP packet of audio
	OnEvent   func(ts uint32, payload []byte)  // hears each packet of a telephone-event (RFC 4733)
	Digits    string                           // DTMF sent by RFC 4733 after a second
	KeepHeard bool                             // keep the samples in Report.Heard
}

// Progress is one step of a call, for a status line.
type Progress struct {
	At       time.Duration // since the INVITE was sent
	Step     string        // inviting, trying, ringing, answered, talking, ended
	Sent     int           // RTP packets
	Received int
	Heard    bool // the tone came back
}

// A Report is what happened to a call. Durations are since the INVITE was
// first sent; zero where it never came so far.
type Report struct {
	Status      int
	Phrase      string
	Reason      string // Reason header of the final response or of the BYE
	CallID      string
	Trying      time.Duration
	Ringing     time.Duration
	Answered    time.Duration
	FirstRTP    time.Duration // first packet received
	FirstAudio  time.Duration // first audible sound received
	RoundTrip   time.Duration // tone in to tone out, median of the bursts
	Bursts      int           // how many bursts of tone came back
	Codec       string
	Sent        int
	Received    int
	Lost        int // gaps in the received sequence numbers
	EndedByPeer bool
	Retransmits int // INVITEs and 2xx seen again
	Heard       []int16
	HeardRate   int
	ByeStatus   int
	DigitsSent  int
}

// OK reports whether the call was answered and the tone came back.
func (r Report) OK() bool { return r.Status/100 == 2 && r.Bursts > 0 }

// Errors of a call that never got an answer.
var (
	ErrNoAnswer = errors.New("no final response")
	ErrClosed   = errors.New("the connection closed")
)

func (o *Options) defaults() {
	if o.From == "" {
		o.From = "patchbay-caller"
	}
	if len(o.Codecs) == 0 {
		o.Codecs = []string{"PCMU", "PCMA", "G722"}
	}
	o.Talk = orElse(o.Talk, 3*time.Second)
	o.Ring = orElse(o.Ring, 32*time.Second)
	o.T1 = orElse(o.T1, 500*time.Millisecond)
	if o.Tone == 0 {
		o.Tone = 1000
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
}

func orElse(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}

// Call places one call and ends it. A refused call is a Report, not an error;
// an error means that no final response came. When ctx ends first, the call is
// cancelled or hung up and the report says how far it got.
func Call(ctx context.Context, o Options) (Report, error) {
	o.defaults()
	target, err := ParseTarget(o.URI, o.Via)
	if err != nil {
		return Report{}, err
	}
	l, err := dialLine(ctx, target, o)
	if err != nil {
		return Report{}, err
	}
	defer l.close()
	a, err := newAudio(l.local().Addr(), o)
	if err != nil {
		return Report{}, err
	}
	defer a.close()
	d := newDialog(target, l, o)
	began := time.Now()
	rep := Report{CallID: d.callID}
	answer, err := d.invite(ctx, a.offer(), began, &rep)
	if err != nil || rep.Status/100 != 2 {
		return rep, err
	}
	if err := a.connect(answer); err != nil {
		d.hangup(ctx, &rep)
		return rep, fmt.Errorf("answer: %w", err)
	}
	talk(ctx, d, a, began, &rep)
	a.report(began, &rep)
	return rep, nil
}

// talk lets audio run until the time is up, ctx ends, or the peer hangs up.
func talk(ctx context.Context, d *dialog, a *audio, began time.Time, rep *Report) {
	actx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); a.run(actx) }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	over := time.NewTimer(d.o.Talk)
	defer over.Stop()
	for talking := true; talking; {
		select {
		case <-ctx.Done():
			talking = false
		case <-over.C:
			talking = false
		case <-tick.C:
			d.o.Progress(a.progress(time.Since(began)))
		case raw, ok := <-d.line.in:
			talking = ok && !d.inDialog(raw, rep)
		}
	}
	stop()
	<-done
	if !rep.EndedByPeer {
		d.hangup(context.WithoutCancel(ctx), rep)
	}
	d.o.Progress(Progress{At: time.Since(began), Step: "ended"})
}
