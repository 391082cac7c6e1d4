package dialog

import (
	"bytes"
	"hash/fnv"
	"slices"
	"strings"

	"patchbay/actors/call"
	"patchbay/sip/sdp"
	"patchbay/sip/wire"
)

// A description is where offer and answer of a dialog stand (RFC 3264): what we
// said last, and what the other side did.
type description struct {
	body    []byte       // ours, as it left last; nil: nothing, or nothing that is known here
	version uint64       // of its o= line
	answer  *call.Answer // the same; of an offer with several codecs nil
	offer   bool         // it was an offer
	peer    string       // o= line of the carrier's, where ours answered it
	heard   uint64       // digest of all of that
	shape   sdp.Shape
	refer   *refer // the last REFER of ours
	owed    *owed  // an offer of ours, in a 2xx or a reliable 183, that waits for its answer
}

// An owed is the offer that the ACK of a 2xx must answer (RFC 3261 13.2.1), or
// the PRACK of a 183 (RFC 3262 5).
type owed struct {
	seq   uint32 // CSeq of the INVITE
	offer call.Offer
}

// describe returns our description as write makes it. The version in its o=
// line rises when it is not what we said last, and only then (RFC 3264 8).
// Where nothing is known of that, as after another node's death, it rises, too.
func (d *dialog) describe(write func(sdp.Origin) []byte) []byte {
	body := write(d.origin())
	if bytes.Equal(body, d.said.body) {
		return d.said.body
	}
	d.revision++
	if d.said.version++; d.said.version > 1 { // else it is written already
		body = write(d.origin())
	}
	d.said.body = body
	return body
}

// answerTo describes our answer to a description of the carrier's.
func (d *dialog) answerTo(session *sdp.Session, heard []byte, a call.Answer) []byte {
	body := d.describe(func(o sdp.Origin) []byte { return session.Answer(a, o) })
	d.said.answer, d.said.offer = &a, false
	d.said.peer, d.said.heard, d.said.shape = strings.Clone(session.OriginLine()), sumOf(heard), session.Shape()
	return body
}

// offerIn describes our offer in a 2xx, or 183, to a request without SDP; the ACK
// with that CSeq, or the PRACK, shall answer it.
func (d *dialog) offerIn(seq uint32, offer call.Offer) []byte {
	body := d.describe(func(o sdp.Origin) []byte { return d.said.shape.Offer(offer, o) })
	d.said.answer, d.said.offer = nil, true
	if len(offer.Codecs) == 1 {
		a := call.Answer{Addr: offer.Addr, Codec: offer.Codecs[0], Ptime: offer.Ptime, RTCPMux: offer.RTCPMux, Direction: offer.Direction}
		if len(offer.DTMF) > 0 {
			a.DTMF = &offer.DTMF[0]
		}
		d.said.answer = &a
	}
	offer.Codecs, offer.DTMF = slices.Clone(offer.Codecs), slices.Clone(offer.DTMF)
	d.said.owed = &owed{seq, offer}
	return body
}

// refresh reports whether an offer is the description that the carrier gave
// last, which we answered: then our answer is the same again (RFC 3264 8). The
// o= line alone does not say so: there are carriers whose version never rises,
// and to hear them one has to read on.
func (d *dialog) refresh(session *sdp.Session, heard []byte) bool {
	s := d.said
	return !s.offer && s.body != nil && s.peer != "" && s.peer == session.OriginLine() && s.heard == sumOf(heard)
}

// sumOf tells two descriptions of one carrier apart. Who makes two that have
// the same is answered as before, and harms nobody else.
func sumOf(body []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(body)
	return h.Sum64()
}

// owed is the offer of ours that waits for its answer, or nil.
func (d *dialog) owed() *owed {
	if d.said == nil {
		return nil
	}
	return d.said.owed
}

// taken reads what the ACK of a 2xx says to our offer in it. due says that one
// was owed; the answer is nil where there is none that we can use.
func (d *dialog) taken(m *wire.Message) (answer *call.Answer, due bool) {
	o := d.owed()
	if o == nil || o.seq != m.CSeq {
		return nil, false
	}
	return d.settledBy(m), true
}

// settledBy reads the answer to the offer of ours that waits for one; nil: there
// is none that we can use.
func (d *dialog) settledBy(m *wire.Message) *call.Answer {
	offer := d.said.owed.offer
	d.said.owed = nil
	d.revision++
	session, err := sdp.Read(m.Header("Content-Type"), m.Body())
	if err != nil {
		return nil
	}
	a, err := session.AnswerTo(offer)
	if err != nil {
		return nil
	}
	return &a
}

// ourOffer describes the offer of an INVITE of ours.
func (d *UAC) ourOffer() []byte {
	d.said.offer = true
	return d.describe(func(o sdp.Origin) []byte { return sdp.Offer(d.offer, o) })
}
