package peer

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/webrtc/v4"
)

// ChannelLabel is the label of the data channel for events and commands.
const ChannelLabel = "call-events"

// Bounds of the data channel.
const (
	// MaxWaiting is how many events wait for the channel to open.
	MaxWaiting = 32
	// MaxUnsent is how much may wait for a slow agent, bytes; what comes on
	// top is lost.
	MaxUnsent = 256 << 10
	// finishWait is the longest wait at the end of a call for the agent to read
	// what it was told, and to close the channel in its turn. Most do within
	// two round trips; one on a busy machine may need a while.
	finishWait = time.Second
	// channelReceive bounds what an agent can make us hold, bytes.
	channelReceive = 128 << 10
	// usualMessage is room for most messages, bytes.
	usualMessage = 1 << 10
	// maxStrange is how many channels that are none of ours an agent may open.
	maxStrange = 8
)

// What an agent's message turned out to be.
const (
	HeardCommand Heard = iota // read it as a command and answer it
	HeardNothing              // none of our business
	HeardLeft                 // the agent takes its leave
)

// Heard says what a message of an agent is to us.
type Heard uint8

// A Dialect is how agents of one stack use their data channel. The zero value
// is our own: [ChannelLabel], and every message a command.
type Dialect struct {
	Label string                     // of the channel that we open
	Hear  func(message []byte) Heard // must not block
	// Talk is for dialects with words of their own for commands: it is called
	// once for each peer and returns its Hear. Nil: Hear serves all.
	Talk func(Line) func(message []byte) Heard
}

// A Line is the channel of one peer, as a dialect uses it.
type Line interface {
	// Do carries out a command in our own words and returns its
	// acknowledgement.
	Do(command []byte) (ack []byte)
	// Send sends a message to the agent, or loses it.
	Send(message []byte)
}

func (d Dialect) label() string {
	if d.Label == "" {
		return ChannelLabel
	}
	return d.Label
}

// hearing returns what listens to the agent of one peer.
func (d Dialect) hearing(l Line) func([]byte) Heard {
	switch {
	case d.Talk != nil:
		return d.Talk(l)
	case d.Hear != nil:
		return d.Hear
	}
	return func([]byte) Heard { return HeardCommand }
}

// A channel is the data channel of one peer; it may never come to be.
type channel struct {
	dialect  Dialect
	hear     func(message []byte) Heard
	commands *Commands
	left     func()
	panics   func(where string)
	parting  time.Duration // finishWait, but in tests

	strange atomic.Int32 // channels that are none of ours

	mu      sync.Mutex
	dc      *webrtc.DataChannel
	open    bool
	waiting [][]byte      // until it is open
	over    chan struct{} // closed once the agent has closed the channel

	answering bool     // a command is being carried out
	held      [][]byte // until its acknowledgement has gone
}

// attach makes dc the channel. A second one is none of ours.
func (c *channel) attach(dc *webrtc.DataChannel) {
	c.mu.Lock()
	first := c.dc == nil
	if first {
		c.dc, c.over = dc, make(chan struct{})
	}
	c.mu.Unlock()
	if !first {
		c.ignore(dc)
		return
	}
	dc.OnOpen(c.opened)
}

// ignore reads what comes on a channel that is none of ours, so that it does not
// fill the room that all channels share. The first few may stay.
func (c *channel) ignore(dc *webrtc.DataChannel) {
	if c.strange.Add(1) > maxStrange {
		_ = dc.Close()
		return
	}
	dc.OnOpen(func() {
		if raw, err := dc.Detach(); err == nil {
			go readAll(raw, func([]byte) {})
		}
	})
}

func (c *channel) opened() {
	c.mu.Lock()
	defer c.mu.Unlock()
	raw, err := c.dc.Detach()
	if err != nil {
		return // closed already
	}
	go func() {
		defer close(c.over)
		readAll(raw, c.message)
	}()
	c.open = true
	for _, b := range c.waiting {
		c.write(b)
	}
	c.waiting = nil
}

// readAll takes messages until the channel ends. The library's own loop keeps
// 64 KiB for each channel; messages are short, so this one starts with little.
func readAll(raw datachannel.ReadWriteCloser, take func(message []byte)) {
	buf := make([]byte, usualMessage)
	for {
		n, _, err := raw.ReadDataChannel(buf)
		switch {
		case errors.Is(err, io.ErrShortBuffer) && len(buf) < channelReceive:
			buf = make([]byte, 2*len(buf)) // the message stays where it is until it fits
			continue
		case err != nil:
			return
		}
		take(buf[:n])
		if len(buf) > usualMessage {
			buf = make([]byte, usualMessage)
		}
	}
}

// message takes one of the agent's. It does not keep b.
func (c *channel) message(b []byte) {
	defer func() {
		if recover() != nil {
			c.panics("media.channel")
		}
	}()
	switch c.hear(b) {
	case HeardCommand:
		c.answer(b)
	case HeardLeft:
		c.left()
	case HeardNothing:
	}
}

// answer carries out a command. Its acknowledgement goes out before anything
// that comes of it: call.ended is the last that an agent hears.
func (c *channel) answer(command []byte) {
	c.mu.Lock()
	c.answering = true
	c.mu.Unlock()
	var ack []byte
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.answering = false
		if ack != nil {
			c.put(ack)
		}
		for _, b := range c.held {
			c.put(b)
		}
		c.held = nil
	}()
	ack = c.commands.Answer(time.Now(), command)
}

// Do implements [Line].
func (c *channel) Do(command []byte) (ack []byte) {
	defer func() {
		if recover() != nil {
			c.panics("media.channel")
		}
	}()
	return c.commands.Answer(time.Now(), command)
}

// Send implements [Line].
func (c *channel) Send(message []byte) { c.send(message) }

// send queues one message, or loses it: before the channel is open, and while a
// command is carried out, beyond MaxWaiting, later beyond MaxUnsent.
func (c *channel) send(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.answering:
		c.put(b)
	case len(c.held) < MaxWaiting:
		c.held = append(c.held, append([]byte(nil), b...))
	}
}

// put sends or keeps one message. The caller holds mu.
func (c *channel) put(b []byte) {
	switch {
	case len(b) > MaxMessage:
	case c.open:
		c.write(b)
	case len(c.waiting) < MaxWaiting:
		c.waiting = append(c.waiting, append([]byte(nil), b...))
	}
}

func (c *channel) write(b []byte) {
	if c.dc.BufferedAmount()+uint64(len(b)) <= MaxUnsent {
		_ = c.dc.SendText(string(b)) // a closed channel loses it
	}
}

// finish closes the channel and waits until the agent has closed it too, at
// most finishWait. The agent does so when it has taken all that came before
// (RFC 8831 section 6.7): an SCTP stack drops what its reader has not taken
// when the association ends under it.
func (c *channel) finish() {
	c.mu.Lock()
	dc, over := c.dc, c.over
	c.mu.Unlock()
	if dc == nil {
		return
	}
	late := time.NewTimer(c.parting)
	defer late.Stop()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for c.unsettled() {
		select {
		case <-look.C:
		case <-late.C:
			return
		}
	}
	if !c.isOpen() {
		return
	}
	_ = dc.Close() // where it fails, the association is gone and over is closed
	select {
	case <-over:
	case <-late.C:
	}
}

func (c *channel) isOpen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

// unsettled reports that events wait, for a channel that has yet to open or for
// a command to be done.
func (c *channel) unsettled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answering || len(c.waiting) > 0
}
