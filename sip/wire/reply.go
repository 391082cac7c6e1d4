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
	dialog := m.Method == "INVITE" && r.Status > 100 && r.Status < 300
	for i := range m.fields {
		f := &m.fields[i]
		switch f.id {
		case via, from, callID, cseq:
		case to:
			w = append(w, m.text[f.name:f.lineEnd]...)
			if m.ToTag == "" && r.Tag != "" {
				w = append(w, ";tag="...)
				w.inert(r.Tag)
			}
			w = append(w, crlf...)
			continue
		case recordRoute:
			if !dialog {
				continue
			}
		default:
			if r.Status != 100 || m.text[f.name:f.nameEnd] != "Timestamp" {
				continue
			}
		}
		w = append(w, m.text[f.name:f.lineEnd]...)
		w = append(w, crlf...)
	}
	if r.Contact != "" {
		w.address("Contact", r.Contact)
	}
	w.headers(r.Headers)
	w.body(r.ContentType, r.Body)
	return w
}
