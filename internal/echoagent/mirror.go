package echoagent

import (
	"sync"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// A mirror is the track that carries packets back. The library's own would put
// one payload type on all of them, and so make audio of telephone events.
type mirror struct {
	mu      sync.Mutex
	ssrc    uint32
	write   webrtc.TrackLocalWriter
	heard   bool
	from    uint32 // SSRC that the offsets belong to
	seq     uint16 // offsets: ours minus theirs
	ts      uint32
	lastSeq uint16 // ours
	lastTS  uint32
}

// frame is one 20 ms packet at 8 kHz: what a new source is put behind the old
// by.
const frame = 160

func (m *mirror) echo(p *rtp.Packet) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.write == nil {
		return
	}
	if !m.heard || p.SSRC != m.from {
		m.heard, m.from = true, p.SSRC
		m.seq, m.ts = m.lastSeq+1-p.SequenceNumber, m.lastTS+frame-p.Timestamp
	}
	h := rtp.Header{
		Version: 2, Marker: p.Marker, PayloadType: p.PayloadType, SSRC: m.ssrc,
		SequenceNumber: p.SequenceNumber + m.seq, Timestamp: p.Timestamp + m.ts,
	}
	m.lastSeq, m.lastTS = h.SequenceNumber, h.Timestamp
	_, _ = m.write.WriteRTP(&h, p.Payload) // a packet that cannot go is lost
}

// source is our SSRC, 0 before the answer.
func (m *mirror) source() uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ssrc
}

// Bind implements webrtc.TrackLocal.
func (m *mirror) Bind(ctx webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ssrc, m.write = uint32(ctx.SSRC()), ctx.WriteStream()
	codecs := ctx.CodecParameters()
	if len(codecs) == 0 {
		return webrtc.RTPCodecParameters{}, errNoCodec
	}
	return codecs[0], nil
}

// Unbind implements webrtc.TrackLocal.
func (m *mirror) Unbind(webrtc.TrackLocalContext) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.write = nil
	return nil
}

// ID implements webrtc.TrackLocal.
func (m *mirror) ID() string { return "audio" }

// RID implements webrtc.TrackLocal.
func (m *mirror) RID() string { return "" }

// StreamID implements webrtc.TrackLocal.
func (m *mirror) StreamID() string { return "echo" }

// Kind implements webrtc.TrackLocal.
func (m *mirror) Kind() webrtc.RTPCodecType { return webrtc.RTPCodecTypeAudio }
