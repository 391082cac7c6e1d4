package wire

import (
	"bytes"
	"strconv"
)

// Read checks, normalises and indexes one message. It does not keep raw. The
// octets of raw are a whole packet, or exactly one message cut from a stream.
// Either the message or the Fault is nil.
func Read(raw []byte, l Limits) (*Message, *Fault) {
	for bytes.HasPrefix(raw, crlf) { // RFC 3261 7.5
		raw = raw[2:]
	}
	if f := sift(raw); f != nil {
		return nil, f
	}
	r := reader{l: l}
	m, f := r.message(raw)
	if f == nil {
		f = validate(m)
	}
	if f == nil {
		return m, nil
	}
	f.salvage(raw, l)
	return nil, f
}

// sift turns away what is no SIP message, which gets no answer.
func sift(raw []byte) *Fault {
	if len(bytes.Trim(raw, "\r\n\x00 \t")) == 0 {
		return silent("keep_alive") // RFC 5626 4.4, and NULs that some send
	}
	line, _, _ := bytes.Cut(raw, []byte("\n"))
	line = bytes.TrimRight(line, " \t\r")
	if hasPrefixFold(line, "SIP/") {
		return nil
	}
	if i := bytes.LastIndexByte(line, ' '); i < 0 || !hasPrefixFold(line[i+1:], "SIP/") {
		return silent("not_sip")
	}
	return nil
}

func hasPrefixFold(s []byte, prefix string) bool {
	return len(s) >= len(prefix) && bytes.EqualFold(s[:len(prefix)], []byte(prefix))
}

// A reader builds the normalised message.
type reader struct {
	l         Limits
	out       []byte
	fields    []field
	scratch   []byte
	seen      uint32 // of the fields that may stand once
	counts    [fieldIDs]int
	m         *Message
	length    int // Content-Length; -1: none
	nameStart int // of the field being written
	valueAt   int
}

// A field is one header field in the normalised text.
type field struct {
	id                  fieldID
	name, nameEnd       int32
	valueStart, lineEnd int32
}

func (r *reader) message(raw []byte) (*Message, *Fault) {
	if len(raw) > r.l.MaxBytes {
		return nil, owed(513, "too_large")
	}
	end := headerEnd(raw)
	if end < 0 {
		return nil, owed(400, "no_end_of_headers")
	}
	if word := cleanOctets(raw[:end]); word != "" {
		return nil, owed(400, word)
	}
	r.out = make([]byte, 0, len(raw)+64)
	r.fields = make([]field, 0, min(bytes.Count(raw[:end], crlf)+4, r.l.MaxHeaders+1))
	r.m, r.length = &Message{hops: -1}, -1

	walk := lines{rest: raw[:end]}
	first, _ := walk.next()
	if f := r.start(first); f != nil {
		return nil, f
	}
	for line, ok := walk.next(); ok; line, ok = walk.next() {
		if f := r.line(line); f != nil {
			return nil, f
		}
	}
	body, f := r.body(raw[end:])
	if f != nil {
		return nil, f
	}
	r.out = append(append(r.out, crlf...), body...)
	r.m.Raw, r.m.text, r.m.fields, r.m.bodyLen = r.out, string(r.out), r.fields, len(body)
	r.m.index()
	return r.m, nil
}

// line reads one header field, folded or not.
func (r *reader) line(line []byte) *Fault {
	var flat []byte
	flat, r.scratch = unfold(line, r.scratch)
	if len(flat) > r.l.MaxLine {
		return owed(400, "long_line")
	}
	name, value, ok := splitField(flat)
	if !ok || isBlank(line[0]) {
		return owed(400, "bad_header")
	}
	known, ok := lookup(name)
	if ok {
		if bit := uint32(1) << known.id; bit&single != 0 {
			if r.seen&bit != 0 {
				return owed(400, "duplicate_header")
			}
			r.seen |= bit
		}
		return r.known(known, value)
	}
	r.begin("")
	r.out = append(r.out, name...)
	r.value()
	r.out = append(r.out, value...)
	return r.end(other)
}

// known writes a field that the table names.
func (r *reader) known(f fieldName, value []byte) *Fault {
	switch f.id {
	case via, contact, route, recordRoute:
		return r.list(f, value)
	case contentLength:
		n, ok := number(value, 1<<31-1)
		if !ok {
			return owed(400, badValue[f.id])
		}
		r.length = int(n)
		return nil // written last, with the length that the body has
	}
	r.begin(f.name)
	r.value()
	if !r.single(f.id, value) {
		return owed(400, badValue[f.id])
	}
	return r.end(f.id)
}

// single writes the value of a field that is no list.
func (r *reader) single(id fieldID, value []byte) bool {
	ok := true
	switch id {
	case from, to:
		c := cursor{s: value}
		r.out, ok = appendAddress(r.out, &c)
		value, ok = nil, ok && c.end()
	case callID:
		ok = identifies(value)
	case cseq:
		var method []byte
		r.m.CSeq, method, ok = readCSeq(value)
		r.out = append(strconv.AppendUint(r.out, uint64(r.m.CSeq), 10), ' ')
		value = method
	case maxForwards:
		var hops uint64
		hops, ok = number(value, 255)
		r.m.hops = int(hops)
	}
	r.out = append(r.out, value...)
	return ok
}

// list writes each of the joined values as a field of its own.
func (r *reader) list(f fieldName, value []byte) *Fault {
	c := cursor{s: value}
	for {
		r.begin(f.name)
		r.value()
		ok := true
		switch {
		case f.id == via:
			r.out, ok = appendVia(r.out, &c)
		case f.id == contact && string(value) == "*": // RFC 3261 10.2.2
			r.out, c.i = append(r.out, '*'), len(value)
		default:
			r.out, ok = appendAddress(r.out, &c)
		}
		if !ok {
			return owed(400, badValue[f.id])
		}
		if f := r.end(f.id); f != nil {
			return f
		}
		if !c.take(',') {
			return nil
		}
	}
}

// badValue holds the words for values that cannot be read.
var badValue = [...]string{
	via: "bad_via", from: "bad_from", to: "bad_to", callID: "bad_call_id", cseq: "bad_cseq",
	maxForwards: "bad_max_forwards", contentLength: "bad_content_length",
	contact: "bad_contact", route: "bad_route", recordRoute: "bad_record_route",
}

func (r *reader) begin(name string) {
	r.nameStart = len(r.out)
	r.out = append(r.out, name...)
}

func (r *reader) value() {
	r.out = append(r.out, ": "...)
	r.valueAt = len(r.out)
}

// end closes the field that begin opened, and counts it.
func (r *reader) end(id fieldID) *Fault {
	r.fields = append(r.fields, field{
		id: id, name: int32(r.nameStart), nameEnd: int32(r.valueAt - 2), valueStart: int32(r.valueAt), lineEnd: int32(len(r.out)),
	})
	r.out = append(r.out, crlf...)
	r.counts[id]++
	switch {
	case len(r.fields) > r.l.MaxHeaders:
		return owed(400, "too_many_headers")
	case r.counts[via] > r.l.MaxVias:
		return owed(400, "too_many_vias")
	case r.counts[route] > r.l.MaxRoutes, r.counts[recordRoute] > r.l.MaxRoutes:
		return owed(400, "too_many_routes")
	}
	return nil
}

// body returns the body, and writes its length as the last header field.
func (r *reader) body(rest []byte) ([]byte, *Fault) {
	n := r.length
	switch {
	case n < 0 && r.l.Datagram:
		n = len(rest)
	case n < 0:
		return nil, owed(400, "no_content_length")
	}
	switch {
	case n > r.l.MaxBody:
		return nil, owed(413, "large_body")
	case n > len(rest):
		return nil, owed(400, "short_body")
	case n < len(rest) && !r.l.Datagram:
		return nil, owed(400, "trailing_octets")
	}
	r.begin("Content-Length")
	r.value()
	r.out = strconv.AppendInt(r.out, int64(n), 10)
	return rest[:n], r.end(contentLength)
}
