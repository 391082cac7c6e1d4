package wire

import "bytes"

// start reads the start line: exactly two single spaces in a request's.
func (r *reader) start(line []byte) *Fault {
	if len(line) > r.l.MaxLine {
		return owed(400, "long_line")
	}
	if bytes.IndexByte(line, '\n') >= 0 {
		return owed(400, "bad_start_line")
	}
	if hasPrefixFold(line, "SIP/") {
		return r.statusLine(line)
	}
	method, rest, _ := bytes.Cut(line, []byte(" "))
	target, version, ok := bytes.Cut(rest, []byte(" "))
	if !ok || !allToken(method) || len(target) == 0 || !hasPrefixFold(version, "SIP/") || bytes.ContainsAny(version, " \t") {
		return owed(400, "bad_start_line")
	}
	if !bytes.EqualFold(version, []byte("SIP/2.0")) {
		return owed(505, "bad_version")
	}
	r.m.methodEnd = len(method)
	r.m.targetEnd = len(method) + 1 + len(target)
	r.out = append(append(append(r.out, method...), ' '), target...)
	r.out = append(r.out, " SIP/2.0\r\n"...)
	return nil
}

func (r *reader) statusLine(line []byte) *Fault {
	version, rest, ok := bytes.Cut(line, []byte(" "))
	code, phrase, _ := bytes.Cut(rest, []byte(" "))
	status, good := number(code, 699)
	if !ok || !good || status < 100 || len(code) != 3 || !bytes.EqualFold(version, []byte("SIP/2.0")) {
		return silent("bad_status_line")
	}
	r.m.Status = int(status)
	r.out = append(append(r.out, "SIP/2.0 "...), code...)
	r.out = append(append(append(r.out, ' '), phrase...), crlf...)
	return nil
}
