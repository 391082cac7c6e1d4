package peer

import (
	"sync/atomic"

	"github.com/pion/webrtc/v4"

	"patchbay/media"
)

// A track is our half of the audio as the library sees it. With the tap it only
// holds the SSRC; without, packets go through it. It takes whichever codec was
// agreed, and unlike the library's own track leaves payload types alone, so
// that telephone-event may share it.
type track struct {
	pt  atomic.Int32 // agreed payload type; -1 before
	out atomic.Pointer[webrtc.TrackLocalWriter]
}

func newTrack() *track {
	t := &track{}
	t.pt.Store(-1)
	return t
}

// Bind implements webrtc.TrackLocal.
func (t *track) Bind(ctx webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	want := webrtc.PayloadType(t.pt.Load())
	for _, c := range ctx.CodecParameters() {
		if c.PayloadType == want {
			w := ctx.WriteStream()
			t.out.Store(&w)
			return c, nil
		}
	}
	return webrtc.RTPCodecParameters{}, media.ErrNoCodec
}

// Unbind implements webrtc.TrackLocal.
func (t *track) Unbind(webrtc.TrackLocalContext) error {
	t.out.Store(nil)
	return nil
}

// ID implements webrtc.TrackLocal.
func (t *track) ID() string { return "audio" }

// RID implements webrtc.TrackLocal.
func (t *track) RID() string { return "" }

// StreamID implements webrtc.TrackLocal.
func (t *track) StreamID() string { return "call" }

// Kind implements webrtc.TrackLocal.
func (t *track) Kind() webrtc.RTPCodecType { return webrtc.RTPCodecTypeAudio }

func (t *track) write(packet []byte) error {
	w := t.out.Load()
	if w == nil {
		return media.ErrClosed
	}
	_, err := (*w).Write(packet)
	return err
}

// readTrack passes the agent's packets on, where the tap does not.
func (p *Peer) readTrack(remote *webrtc.TrackRemote) {
	buf := make([]byte, receiveMTU)
	for {
		n, _, err := remote.Read(buf)
		if err != nil {
			return
		}
		p.deliver(buf[:n])
	}
}

func (p *Peer) deliver(packet []byte) {
	defer func() {
		if recover() != nil {
			p.stack.hooks.panicked("media.peer")
		}
	}()
	if rx := p.rx.Load(); rx != nil {
		(*rx)(packet)
	}
}

// readControl waits for the agent's RTCP BYE, where the tap does not see it.
func (p *Peer) readControl(receiver *webrtc.RTPReceiver) {
	buf := make([]byte, receiveMTU)
	for {
		n, _, err := receiver.Read(buf)
		if err != nil {
			return
		}
		if hasBye(buf[:n]) {
			p.left()
		}
	}
}
