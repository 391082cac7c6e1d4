package wire

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strconv"

	"patchbay/actors/call"
)

// A Fault says why a message was not let through, and what its sender is owed.
type Fault struct {
	Status  int           // of the response owed; 0 with Drop
	Word    string        // stable, for metrics and logs; never a part of the message
	Drop    bool          // nothing may be sent: no request, or an ACK
	Headers []call.Header // of the response: Unsupported, Accept, ...

	partial *Message // the fields that a response copies, as far as they could be saved
}

func owed(status int, word string) *Fault { return &Fault{Status: status, Word: word} }

func silent(word string) *Fault { return &Fault{Word: word, Drop: true} }

// Error implements error.
func (f *Fault) Error() string {
	if f.Drop {
		return "wire: dropped: " + f.Word
	}
	return "wire: " + strconv.Itoa(f.Status) + " " + f.Word
}

// String keeps the saved header fields out of %v.
func (f *Fault) String() string { return f.Error() }

// GoString keeps %#v as safe as %v.
func (f *Fault) GoString() string { return f.Error() }

// LogValue keeps the saved header fields out of structured logs.
func (f *Fault) LogValue() slog.Value { return slog.StringValue(f.Error()) }

// CallID returns the message's Call-ID where it could be saved, or "".
func (f *Fault) CallID() string {
	if f.partial == nil {
		return ""
	}
	return f.partial.CallID
}

// Stamp is [Message.Stamp] for a message that was not let through.
func (f *Fault) Stamp(source netip.AddrPort) netip.AddrPort {
	if f.partial == nil {
		return source
	}
	return f.partial.Stamp(source)
}

// Reply returns the stateless response with tag as our To-tag, or nil when none
// may be sent, or too little was saved to tell the sender which request it
// answers.
func (f *Fault) Reply(tag string) []byte {
	if f.Drop || f.partial == nil {
		return nil
	}
	return f.partial.Reply(Reply{Status: f.Status, Tag: tag, Headers: f.Headers})
}

// salvage saves what a response copies, out of octets that are no message. Well-formed fields are saved in normal form, bad ones as they came.
func (f *Fault) salvage(raw []byte, l Limits) {
	if hasPrefixFold(raw, "SIP/") || bytes.HasPrefix(raw, []byte("ACK ")) {
		f.Drop, f.Status = true, 0 // RFC 3261 8.1.3, 17.1.1.3: neither is answered
		return
	}
	raw = raw[:min(len(raw), l.MaxBytes)]
	if end := headerEnd(raw); end >= 0 {
		raw = raw[:end]
	}
	r := reader{l: l, m: &Message{hops: -1}}
	walk := lines{rest: raw}
	_, _ = walk.next()
	for line, ok := walk.next(); ok && len(r.fields) < l.MaxVias+4; line, ok = walk.next() {
		r.save(line)
	}
	m := r.m
	m.Raw, m.text, m.fields = r.out, string(r.out), r.fields
	m.index()
	if r.counts[via] > 0 && r.counts[callID]+r.counts[cseq] > 0 {
		f.partial = m
	}
}

// save keeps one header field, if a response needs it.
func (r *reader) save(line []byte) {
	var flat []byte
	flat, r.scratch = unfold(line, r.scratch)
	name, value, ok := splitField(flat)
	if !ok || len(flat) > r.l.MaxLine {
		return
	}
	known, ok := lookup(name)
	switch {
	case !ok, known.id != via && known.id != from && known.id != to && known.id != callID && known.id != cseq,
		known.id != via && r.counts[known.id] > 0, // of two, the first
		cleanOctets(value) != "":
		return
	}
	mark := *r
	if r.known(known, value) == nil {
		return
	}
	*r = mark
	r.begin(known.name)
	r.value()
	r.out = append(r.out, value...)
	_ = r.end(known.id)
}
