package edge

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// cutAll feeds data in the given pieces and tells what came out.
func cutAll(pieces ...[]byte) []string {
	var f framer
	var out []string
	for _, p := range pieces {
		for len(p) > 0 {
			n := copy(f.space(), p)
			f.filled(n)
			p = p[n:]
			for {
				u, msg, err := f.next()
				switch {
				case err != nil:
					return append(out, "error: "+err.Error()+" after "+string(f.head()))
				case u == unitPing:
					out = append(out, "ping")
				case u == unitMessage:
					out = append(out, string(msg))
				}
				if u == unitNone {
					break
				}
			}
		}
	}
	if f.partial() {
		out = append(out, "partial")
	}
	return out
}

func message(length, body string) string {
	return "OPTIONS sip:a@b SIP/2.0\r\nCall-ID: 1\r\n" + length + "\r\n\r\n" + body
}

func TestAStreamIsCutIntoMessages(t *testing.T) {
	t.Parallel()
	one, two := message("Content-Length: 4", "body"), message("l:0", "")
	for name, tc := range map[string]struct {
		stream string
		want   []string
	}{
		"one message":                     {one, []string{one}},
		"no length is no body":            {message("Subject: x", "") + one, []string{message("Subject: x", ""), one}},
		"two at once":                     {one + two, []string{one, two}},
		"line ends between messages":      {one + "\r\n" + two, []string{one, two}},
		"a ping between messages":         {one + "\r\n\r\n" + two, []string{one, "ping", two}},
		"two pings":                       {"\r\n\r\n\r\n\r\n", []string{"ping", "ping"}},
		"half a ping is nothing yet":      {"\r\n\r", nil},
		"a line end before a message":     {"\r\n" + two, []string{two}},
		"a message without its body":      {message("Content-Length: 9", "body"), []string{"partial"}},
		"compact and spaced name":         {message("L \t:\t4 ", "body"), []string{message("L \t:\t4 ", "body")}},
		"folded length":                   {message("Content-Length:\r\n 4", "body"), []string{message("Content-Length:\r\n 4", "body")}},
		"equal lengths":                   {message("l: 4\r\nContent-Length: 4", "body"), []string{message("l: 4\r\nContent-Length: 4", "body")}},
		"length inside another field":     {message("Subject: x\r\n Content-Length: 9\r\nl: 4", "body"), []string{message("Subject: x\r\n Content-Length: 9\r\nl: 4", "body")}},
		"a body of line ends is no ping":  {message("l: 4", "\r\n\r\n"), []string{message("l: 4", "\r\n\r\n")}},
		"a body that looks like a header": {message("l: 8", "l: 99\r\n\r"), []string{message("l: 8", "l: 99\r\n\r")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := cutAll([]byte(tc.stream)); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestAStreamThatCannotBeCutIsRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		stream string
		want   error
	}{
		"negative length":         {message("Content-Length: -1", ""), errBadLength},
		"signed length":           {message("Content-Length: +4", "body"), errBadLength},
		"length with a unit":      {message("Content-Length: 4 octets", "body"), errBadLength},
		"empty length":            {message("Content-Length:", ""), errBadLength},
		"huge length":             {message("Content-Length: 99999999999999999999", ""), errBadLength},
		"two lengths":             {message("Content-Length: 4\r\nl: 5", "body!"), errBadLength},
		"too long":                {message("Content-Length: 65536", ""), errTooLong},
		"bare LF":                 {"OPTIONS sip:a@b SIP/2.0\nl: 0\r\n\r\n", errBareLF},
		"bare LF first":           {"\nOPTIONS sip:a@b SIP/2.0\r\n", errBareLF},
		"bare CR first":           {"\r\rOPTIONS sip:a@b SIP/2.0\n", errBareLF},
		"HTTP":                    {"GET / HTTP/1.1\r\nHost: x\r\n", errNotSIP},
		"a body nobody announced": {message("Subject: x", "v=0\r\n")[len(message("Subject: x", "")):], errNotSIP},
		"endless headers":         {"OPTIONS sip:a@b SIP/2.0\r\n" + strings.Repeat("X: y\r\n", maxStreamMessage/6), errTooLong},
		"endless line":            {strings.Repeat("x", maxStreamMessage+1), errTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := cutAll([]byte(tc.stream))
			if len(got) != 1 || !strings.HasPrefix(got[0], "error: "+tc.want.Error()) {
				t.Errorf("got %.200q, want %v", got, tc.want)
			}
		})
	}
}

func TestTheLargestMessageIsCutAndItsBufferGivenBack(t *testing.T) {
	t.Parallel()
	head := message(fmt.Sprintf("Content-Length: %d", maxStreamMessage-80), "")
	head = strings.Replace(head, "\r\n\r\n", "\r\nX: "+strings.Repeat("x", 80-len(head)-5)+"\r\n\r\n", 1)
	msg := head + strings.Repeat("b", maxStreamMessage-len(head))
	var f framer
	for rest := []byte(msg); len(rest) > 0; {
		n := copy(f.space(), rest)
		f.filled(n)
		rest = rest[n:]
	}
	u, got, err := f.next()
	if u != unitMessage || string(got) != msg || err != nil {
		t.Fatalf("got unit %d of %d bytes, error %v", u, len(got), err)
	}
	f.space()
	if cap(f.data) > framerKeep {
		t.Errorf("an idle connection keeps %d bytes", cap(f.data))
	}
}

// FuzzFramer splits a stream at two boundaries: the same messages must come
// out as from the whole.
func FuzzFramer(f *testing.F) {
	one, two := message("Content-Length: 4", "body"), message("l:0", "")
	for _, s := range []string{
		one + two, "\r\n\r\n" + one, one + "\r\n" + two + "\r\n\r\n", "\r\n\rX", "\r\rX\r\n",
		message("Subject: x", ""), message("l: 1\r\nl: 2", "xx"), "a\nb\r\n\r\n",
		message("Content-Length:\r\n\t3", "abc"),
	} {
		f.Add([]byte(s), uint16(3), uint16(40))
	}
	f.Fuzz(func(t *testing.T, data []byte, a, b uint16) {
		i := int(a) % (len(data) + 1)
		j := i + int(b)%(len(data)-i+1)
		whole := cutAll(data)
		for _, split := range [][][]byte{{data[:i], data[i:]}, {data[:i], data[i:j], data[j:]}, bytes.SplitAfter(data, nil)} {
			if got := cutAll(split...); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", whole) {
				t.Fatalf("split: %q\nwhole: %q", got, whole)
			}
		}
	})
}
