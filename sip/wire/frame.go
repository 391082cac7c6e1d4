package wire

import "bytes"

// Frame returns the length of the first message in buf, which came from a
// stream and begins with a start line; 0: more octets are needed. A Fault means
// that the stream can no longer be cut into messages: after its Reply the
// connection must be closed (RFC 3261 18.3, 18.4). A message without
// Content-Length has no body.
func Frame(buf []byte, l Limits) (int, *Fault) {
	end := headerEnd(buf[:min(len(buf), l.MaxBytes)])
	if end < 0 {
		if len(buf) < l.MaxBytes {
			return 0, nil
		}
		return 0, unframed(buf, l, 513, "too_large")
	}
	body, word := bodyLength(buf[:end])
	switch {
	case word != "":
		return 0, unframed(buf, l, 400, word)
	case body > l.MaxBody:
		return 0, unframed(buf, l, 413, "large_body")
	case end+body > l.MaxBytes:
		return 0, unframed(buf, l, 513, "too_large")
	case end+body > len(buf):
		return 0, nil
	}
	return end + body, nil
}

// bodyLength reads the only Content-Length of a header section.
func bodyLength(head []byte) (n int, word string) {
	walk := lines{rest: head}
	_, _ = walk.next()
	found := false
	for line, ok := walk.next(); ok; line, ok = walk.next() {
		if line[0]|0x20 != 'c' && line[0]|0x20 != 'l' {
			continue
		}
		flat, _ := unfold(line, nil)
		name, value, ok := bytes.Cut(flat, []byte(":"))
		known, is := lookup(bytes.TrimRight(name, " \t"))
		if !ok || !is || known.id != contentLength {
			continue
		}
		length, good := number(bytes.TrimSpace(value), 1<<31-1)
		switch {
		case found:
			return 0, "duplicate_header"
		case !good:
			return 0, badValue[contentLength]
		}
		n, found = int(length), true
	}
	return n, ""
}

func unframed(buf []byte, l Limits, status int, word string) *Fault {
	if f := sort(buf); f != nil {
		return f
	}
	f := owed(status, word)
	f.salvage(buf, l)
	return f
}
