package sdp

import (
	"strings"

	"patchbay/actors/call"
)

// A Shape is the m-lines of a description that was answered: which one has the
// audio, and of each other its kind, protocol and formats. Every later offer in
// the dialog has as many, in the same places (RFC 3264 8). The zero value is
// that of one audio m-line.
type Shape struct {
	Audio int      `json:"audio"`
	Lines []string `json:"lines,omitempty"` // "video RTP/AVP 96"; of the audio its protocol alone
}

// IsZero reports that the shape says nothing.
func (s Shape) IsZero() bool { return s.Audio == 0 && len(s.Lines) == 0 }

// Shape returns the description's. It shares no memory with it.
func (s *Session) Shape() Shape {
	chosen, _, err := s.audio()
	if err != nil || len(s.media) == 1 && strings.EqualFold(s.media[0].proto, audioProto) {
		return Shape{}
	}
	shape := Shape{Audio: chosen, Lines: make([]string, len(s.media))}
	for i, m := range s.media {
		if i == chosen {
			shape.Lines[i] = strings.Clone(m.proto)
			continue
		}
		formats := m.formats
		if len(formats) == 0 {
			formats = []string{"0"} // the grammar wants one
		}
		shape.Lines[i] = m.kind + " " + m.proto + " " + strings.Join(formats, " ")
	}
	return shape
}

// audioProto is what an offer of ours asks for.
const audioProto = "RTP/AVP"

// Offer writes an offer of ours within a dialog: its m-lines are those that
// there were, all but the audio with port 0.
func (s Shape) Offer(offer call.Offer, o Origin) []byte {
	if s.Audio < 0 || s.Audio >= len(s.Lines) {
		return Offer(offer, o)
	}
	var w writer
	w.head(o, offer.Addr.Addr(), "0 0")
	for i, line := range s.Lines {
		kind, rest, _ := strings.Cut(line, " ")
		if i == s.Audio {
			w.audio(line, offer)
		} else {
			w.line("m=%s 0 %s", kind, rest)
		}
	}
	return w.buf
}
