package wire

import (
	"iter"
	"log/slog"
	"strings"

	"patchbay/actors/call"
)

// A Message is one request or response that the guard let through. Its exported
// fields are for reading.
type Message struct {
	// Raw is the whole message in normal form. It is the Message's own, and can
	// be read again with [RelayLimits].
	Raw []byte

	Method     string // of a request; case counts (RFC 3261 7.1)
	Status     int    // of a response; 0: a request
	RequestURI URI    // of a request

	CallID     string
	FromTag    string // empty: an RFC 2543 peer
	ToTag      string
	Branch     string // of the top Via; without "z9hG4bK": an RFC 2543 peer
	CSeq       uint32
	CSeqMethod string

	text      string // Raw as a string
	fields    []field
	bodyLen   int
	hops      int // Max-Forwards; -1: absent
	methodEnd int // in text
	targetEnd int
}

// index fills the fields that routing needs.
func (m *Message) index() {
	m.Method = m.text[:m.methodEnd]
	m.CallID = m.first(callID)
	m.FromTag, _ = param(m.first(from), "tag")
	m.ToTag, _ = param(m.first(to), "tag")
	m.Branch, _ = param(m.first(via), "branch")
	_, m.CSeqMethod, _ = strings.Cut(m.first(cseq), " ")
}

// IsRequest reports whether the message is a request.
func (m *Message) IsRequest() bool { return m.Status == 0 }

// TransactionKey returns what makes two copies of an initial INVITE the same,
// and what its CANCEL shares with it (RFC 3261 8.2.2.2, 9.1).
func (m *Message) TransactionKey() call.TransactionKey {
	return call.TransactionKey{CallID: m.CallID, FromTag: m.FromTag, CSeq: m.CSeq}
}

// Header returns the first value of a header field, or "". Long and compact
// names of any case are one. Via, Contact, Route and Record-Route are split:
// each value stands alone, as if it had come on a line of its own.
func (m *Message) Header(name string) string {
	if i := m.find(name, 0); i >= 0 {
		return m.value(i)
	}
	return ""
}

// Headers returns all values of a header field in order.
func (m *Message) Headers(name string) []string {
	var all []string
	for i := m.find(name, 0); i >= 0; i = m.find(name, i+1) {
		all = append(all, m.value(i))
	}
	return all
}

// Fields walks all header fields in order, by the names that Raw has.
func (m *Message) Fields() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i := range m.fields {
			f := &m.fields[i]
			if !yield(m.text[f.name:f.nameEnd], m.value(i)) {
				return
			}
		}
	}
}

// find returns the index of the next field of a name, from the ith on, or -1.
func (m *Message) find(name string, i int) int {
	if known, ok := lookup(name); ok {
		name = known.name
	}
	for ; i < len(m.fields); i++ {
		f := &m.fields[i]
		if int(f.nameEnd-f.name) == len(name) && strings.EqualFold(m.text[f.name:f.nameEnd], name) {
			return i
		}
	}
	return -1
}

func (m *Message) value(i int) string {
	return m.text[m.fields[i].valueStart:m.fields[i].lineEnd]
}

// first returns the first value of a field that the guard knows, or "".
func (m *Message) first(id fieldID) string {
	for i := range m.fields {
		if m.fields[i].id == id {
			return m.value(i)
		}
	}
	return ""
}

// Vias returns the Via values, the newest hop first.
func (m *Message) Vias() []string { return m.Headers("Via") }

// MaxForwards returns how many hops a request has left; -1: it does not say.
func (m *Message) MaxForwards() int { return m.hops }

// Route returns the Route values of a request, the next hop first.
func (m *Message) Route() []string { return m.Headers("Route") }

// RecordRoute returns the Record-Route values in the order of the message. A
// callee's route set has this order, a caller's the reverse (RFC 3261 12.1).
func (m *Message) RecordRoute() []string { return m.Headers("Record-Route") }

// Body returns the body, a part of Raw.
func (m *Message) Body() []byte { return m.Raw[len(m.Raw)-m.bodyLen:] }

// ContentType returns the body's type and subtype, lower case and without
// parameters, or "".
func (m *Message) ContentType() string { return mediaType(m.first(contentType)) }

// From returns the caller as the message claims it.
func (m *Message) From() call.Party { return party(m.first(from)) }

// To returns the callee as the message claims it.
func (m *Message) To() call.Party { return party(m.first(to)) }

// Contact returns the first Contact's URI: where in-dialog requests go. It
// returns ErrURI where there is none, or none that SIP can reach.
func (m *Message) Contact() (URI, error) { return ParseURI(addressURI(m.first(contact))) }

// String names the message without what may be a secret.
func (m *Message) String() string {
	if m.IsRequest() {
		return m.Method + " " + m.CallID
	}
	return "response " + m.CallID
}

// GoString keeps %#v as safe as %v.
func (m *Message) GoString() string { return m.String() }

// LogValue keeps the message out of structured logs.
func (m *Message) LogValue() slog.Value { return slog.StringValue(m.String()) }
