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
	// flushWait is the longest wait for the last event, at the end of a call.
	flushWait = 200 * time.Millisecond
	// readWait is how long the agent then has to read it.
	readWait = 100 * time.Millisecond
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
}

func (d Dialect) label() string {
	if d.Label == "" {
		return ChannelLabel
	}
	return d.Label
}

func (d Dialect) hear(message []byte) Heard {
	if d.Hear == nil {
		return HeardCommand
	}
	return d.Hear(message)
}

// A channel is the data channel of one peer; it may never come to be.
type channel struct {
	dialect  Dialect
	commands *Commands
	left     func()
	panics   func(where string)

	strange atomic.Int32 // channels that are none of ours

	mu      sync.Mutex
	dc      *webrtc.DataChannel
	open    bool
	waiting [][]byte
}

// attach makes dc the channel. A second one is none of ours.
func (c *channel) attach(dc *webrtc.DataChannel) {
	c.mu.Lock()
	first := c.dc == nil
	if first {
		c.dc = dc
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
	go readAll(raw, c.message)
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
	switch c.dialect.hear(b) {
	case HeardCommand:
		if answer := c.commands.Answer(time.Now(), b); answer != nil {
			c.send(answer)
		}
	case HeardLeft:
		c.left()
	case HeardNothing:
	}
}

// send queues one message, or loses it: before the channel is open beyond
// MaxWaiting, later beyond MaxUnsent.
func (c *channel) send(b []byte) {
	if len(b) > MaxMessage {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
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

// flush waits until the agent's side has what was sent, or flushWait, and then
// lets it be read: an SCTP stack drops what its reader has not taken when the
// association ends under it.
func (c *channel) flush() {
	if !c.inUse() {
		return
	}
	for end := time.Now().Add(flushWait); c.unsent() && time.Now().Before(end); {
		time.Sleep(2 * time.Millisecond)
	}
	time.Sleep(readWait)
}

func (c *channel) inUse() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dc != nil
}

func (c *channel) unsent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting) > 0 || c.open && c.dc.BufferedAmount() > 0
}
