package wire

import (
	"strconv"

	"patchbay/actors/call"
)

// A Reply is a response as its author thinks of it; the rest is copied from the
// request.
type Reply struct {
	Status      int
	Phrase      string // empty: [Phrase] of Status
	Tag         string // our To-tag, added where the request has none
	Contact     string // our URI, without brackets; empty: none
	Headers     []call.Header
	ContentType string // of Body
	Body        []byte
}

// Reply returns the response to a request: Via, From, To, Call-ID and CSeq as
// they came (RFC 3261 8.2.6.2), Record-Route where the response makes a dialog
// (12.1.1), Timestamp in a 100 (8.2.6.1). CR, LF and NUL in what the caller
// gives become spaces, so that no value can begin another header field.
func (m *Message) Reply(r Reply) []byte {
	phrase := r.Phrase
	if phrase == "" {
		phrase = Phrase(r.Status)
	}
	w := writer(make([]byte, 0, len(m.Raw)-m.bodyLen+len(r.Body)+512))
	w = append(w, "SIP/2.0 "...)
	w = strconv.AppendInt(w, int64(r.Status), 10)
	w = append(w, ' ')
	w.inert(phrase)
	w = append(w, crlf...)
	for i := range m.fields {
		w.copied(m, i, r)
	}
	if r.Contact != "" {
		w.address("Contact", r.Contact)
	}
	w.headers(r.Headers)
	w.body(r.ContentType, r.Body)
	return w
}

// copied appends the ith field of the request, if the response has it too.
func (w *writer) copied(m *Message, i int, r Reply) {
	f := &m.fields[i]
	switch f.id {
	case via, from, to, callID, cseq:
	case recordRoute:
		if m.Method != "INVITE" || r.Status <= 100 || r.Status >= 300 {
			return
		}
	default:
		if r.Status != 100 || m.text[f.name:f.nameEnd] != "Timestamp" {
			return
		}
	}
	*w = append(*w, m.text[f.name:f.lineEnd]...)
	if f.id == to && m.ToTag == "" && r.Tag != "" {
		*w = append(*w, ";tag="...)
		w.inert(r.Tag)
	}
	*w = append(*w, crlf...)
}
