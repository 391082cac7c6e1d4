package peer

import (
	"errors"
	"net"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"patchbay/actors/call"
	"patchbay/media"
)

var _ media.AgentLeg = (*Peer)(nil)

// changed follows the connection's state. The library calls it in a goroutine
// of its own each time, so calls may overtake one another.
func (p *Peer) changed(state webrtc.PeerConnectionState) {
	switch state {
	case webrtc.PeerConnectionStateConnected:
		p.connected()
	case webrtc.PeerConnectionStateDisconnected:
		p.watch()
	case webrtc.PeerConnectionStateFailed:
		p.lost(call.CauseAgentLost)
	case webrtc.PeerConnectionStateClosed: // DTLS close_notify, unless it was us
		p.lost(call.CauseAgentHangup)
	}
}

// connected chooses the audio's path and lets packets through.
func (p *Peer) connected() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isUp || p.isDown {
		return
	}
	p.isUp = true
	path := "track"
	if p.stack.tap && p.install() {
		path = "tap"
	} else {
		p.sock.mode.Store(rtpTrack)
	}
	p.live.Store(true)
	p.stack.hooks.connected(path)
	close(p.up)
}

// install sets the tap up and reports whether it could.
func (p *Peer) install() bool {
	cfg, err := p.sock.hello.keys()
	if err != nil {
		return false
	}
	t, err := newTap(cfg, &p.rx, p.left)
	if err != nil {
		return false
	}
	if pair, err := p.ice.GetSelectedCandidatePair(); err == nil {
		p.selected(pair)
	}
	if p.sock.remote.Load() == nil {
		return false
	}
	p.sock.tap.Store(t)
	p.sock.mode.Store(rtpTap)
	return true
}

// watch ends a leg that ICE has not heard for disconnectedAfter, unless audio
// goes on: a few lost binding requests are no lost agent.
func (p *Peer) watch() {
	for {
		quiet := p.sock.quiet()
		if quiet >= disconnectedAfter {
			p.lost(call.CauseAgentLost)
			return
		}
		again := time.NewTimer(disconnectedAfter - quiet)
		select {
		case <-p.down:
			again.Stop()
			return
		case <-again.C:
		}
		if p.pc.ConnectionState() != webrtc.PeerConnectionStateDisconnected {
			return
		}
	}
}

// left says that the agent ended the leg in order.
func (p *Peer) left() { p.lost(call.CauseAgentHangup) }

func (p *Peer) lost(cause call.Cause) {
	p.mu.Lock()
	if p.isDown {
		p.mu.Unlock()
		return
	}
	p.isDown, p.cause = true, cause
	gone := p.gone
	p.live.Store(false)
	close(p.down)
	p.mu.Unlock()
	if gone != nil {
		gone(cause)
	}
}

// Codec implements media.AgentLeg.
func (p *Peer) Codec() call.Codec {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.codec
}

// DTMF implements media.AgentLeg.
func (p *Peer) DTMF() (call.Codec, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.digits == nil {
		return call.Codec{}, false
	}
	return *p.digits, true
}

// SSRC implements media.AgentLeg.
func (p *Peer) SSRC() uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ssrc
}

// Start implements media.AgentLeg.
func (p *Peer) Start(rx func([]byte), closed func(call.Cause), command func(media.Command) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started || p.closed {
		return
	}
	p.started = true
	p.channel.commands.start(command)
	if p.isDown {
		go closed(p.cause)
		return
	}
	p.gone = closed
	p.rx.Store(&rx)
}

// WriteRTP implements media.AgentLeg. It returns [media.ErrClosed] once the leg
// is over.
func (p *Peer) WriteRTP(packet []byte) error {
	if !p.live.Load() {
		return media.ErrClosed
	}
	t := p.sock.tap.Load()
	if t == nil {
		return p.track.write(packet)
	}
	sealed, err := t.seal(packet)
	if err != nil {
		return err
	}
	_, err = p.sock.write(sealed, *p.sock.remote.Load())
	if errors.Is(err, net.ErrClosed) {
		return media.ErrClosed
	}
	return err
}

// Notify implements media.AgentLeg, by data channel.
func (p *Peer) Notify(event []byte) {
	if p.wantDC {
		p.channel.send(event)
	}
}

// Close implements media.AgentLeg. The agent hears RTCP BYE and DTLS
// close_notify; that, and freeing the port, goes on after Close has returned.
func (p *Peer) Close(call.Cause) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	wasUp := p.isUp && !p.isDown
	if !p.isDown {
		p.isDown = true
		close(p.down)
	}
	p.live.Store(false)
	p.rx.Store(nil)
	p.gone = nil
	if p.pc == nil {
		return
	}
	p.stack.closing.begin()
	go p.shut(wasUp)
}

func (p *Peer) shut(wasUp bool) {
	defer p.stack.closing.end()
	if wasUp {
		p.channel.finish()
		p.sayBye()
	}
	p.making.Lock()
	_ = p.pc.Close() // it only repeats what the sockets said
	p.making.Unlock()
	p.sock.shut()
}

// sayBye sends RTCP BYE (RFC 3550 section 6.3.7). It is lost where the network
// loses it; close_notify follows.
func (p *Peer) sayBye() {
	if t := p.sock.tap.Load(); t != nil {
		if b, err := t.sealControl(goodbye(p.ssrc)); err == nil {
			_, _ = p.sock.write(b, *p.sock.remote.Load())
		}
		return
	}
	_ = p.pc.WriteRTCP([]rtcp.Packet{&rtcp.Goodbye{Sources: []uint32{p.ssrc}}})
}
