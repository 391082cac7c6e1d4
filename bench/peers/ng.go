package peers

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// ngLimit is the longest wait for one answer of rtpengine.
const ngLimit = 3 * time.Second

// An ng speaks rtpengine's control protocol: a cookie and a bencoded dictionary
// a datagram (rtpengine's documentation, "ng control protocol").
type ng struct {
	conn   net.Conn
	cookie int
}

// pair is one entry of a dictionary; its value is a string or a []string.
type pair struct {
	key   string
	value any
}

// ask sends a dictionary, whose keys must be in order, and returns the SDP of
// the answer.
func (n *ng) ask(dict ...pair) (string, error) {
	n.cookie++
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d d", n.cookie)
	for _, p := range dict {
		encode(&b, p.key)
		encode(&b, p.value)
	}
	b.WriteByte('e')
	if _, err := n.conn.Write(b.Bytes()); err != nil {
		return "", fmt.Errorf("ask rtpengine: %w", err)
	}
	answer := make([]byte, 1<<16)
	if err := n.conn.SetReadDeadline(time.Now().Add(ngLimit)); err != nil {
		return "", err
	}
	k, err := n.conn.Read(answer)
	if err != nil {
		return "", fmt.Errorf("hear rtpengine: %w", err)
	}
	return sdpOf(string(answer[:k]))
}

func encode(b *bytes.Buffer, v any) {
	switch v := v.(type) {
	case string:
		fmt.Fprintf(b, "%d:%s", len(v), v)
	case []string:
		b.WriteByte('l')
		for _, s := range v {
			encode(b, s)
		}
		b.WriteByte('e')
	}
}

// sdpOf finds the entry sdp of an answer.
func sdpOf(answer string) (string, error) {
	if _, rest, ok := strings.Cut(answer, "3:sdp"); ok {
		length, text, _ := strings.Cut(rest, ":")
		if n, err := strconv.Atoi(length); err == nil && n >= 0 && n <= len(text) {
			return text[:n], nil
		}
	}
	return "", fmt.Errorf("rtpengine: %s", answer)
}
