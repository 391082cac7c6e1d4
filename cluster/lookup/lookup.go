// Package lookup reads messages of a stream in the ways that nats.go has no
// call for: the last one of a subject as the stream's leader has it, or as any
// replica has, and many at once.
//
// It refuses to guess: where a reply does not come or makes no sense, the error
// says so, and nothing is reported as absent.
package lookup

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/textproto"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// maxRequest is the longest wait for one answer, and for each message of an
// answer of many, whatever the caller allows: a stream that still sends is slow,
// not away.
const maxRequest = 2 * time.Second

// ErrUnavailable says that the stream cannot be read now.
var ErrUnavailable = errors.New("lookup: the stream does not answer")

// A Message is one message of a stream.
type Message struct {
	Subject  string
	Sequence uint64
	At       time.Time // when the stream took it
	Marker   string    // of a bucket: why there is nothing any more; "": there is
	Data     []byte
}

// Last returns the last message of a subject as the leader has it, so that
// what was acknowledged before is seen. ok is false where there is none.
func Last(ctx context.Context, nc *nats.Conn, stream, subject string) (m Message, ok bool, err error) {
	req, err := json.Marshal(map[string]string{"last_by_subj": subject})
	if err != nil {
		return m, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, maxRequest)
	defer cancel()
	reply, err := nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, req)
	if err != nil {
		return m, false, unavailable(err)
	}
	var rep struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Seq     uint64    `json:"seq"`
			Headers string    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &rep); err != nil {
		return m, false, unavailable(err)
	}
	switch {
	case rep.Error != nil && rep.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return m, false, nil
	case rep.Error != nil:
		return m, false, unavailable(rep.Error)
	}
	marker, err := markerIn(rep.Message.Headers)
	if err != nil {
		return m, false, unavailable(err)
	}
	return Message{subject, rep.Message.Seq, rep.Message.Time, marker, rep.Message.Data}, true, nil
}

// markerIn reads the marker out of a header block in base64.
func markerIn(block string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(block)
	if err != nil || len(raw) == 0 {
		return "", err
	}
	_, fields, _ := bytes.Cut(raw, []byte("\r\n")) // NATS/1.0
	h, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(fields))).ReadMIMEHeader()
	if err != nil {
		return "", fmt.Errorf("read headers: %w", err)
	}
	// textproto changes the case of names, NATS' own headers keep it.
	return Marker(nats.Header{kvOperation: h.Values(kvOperation), markerReason: h.Values(markerReason)}), nil
}

// Marker is what the headers of a bucket's message say of why there is nothing
// any more: the operation of a client, or the reason of the server's own
// marker; "": there is.
func Marker(h nats.Header) string {
	if op := h.Get(kvOperation); op != "" && op != "PUT" {
		return op
	}
	return h.Get(markerReason)
}

// Headers of a bucket's messages.
const (
	kvOperation  = "KV-Operation"
	markerReason = "Nats-Marker-Reason"
)

// Any returns the last message of a subject as any replica has it: not
// read-after-write (ADR-8). ok is false where there is none.
func Any(ctx context.Context, nc *nats.Conn, stream, subject string) (m Message, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, maxRequest)
	defer cancel()
	reply, err := nc.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+stream+"."+subject, nil)
	if err != nil {
		return m, false, unavailable(err)
	}
	switch status := reply.Header.Get("Status"); status {
	case "":
		m, err = fromMsg(reply)
		return m, err == nil, err
	case "404":
		return m, false, nil
	default:
		return m, false, unavailable(fmt.Errorf("status %s", status))
	}
}

// A Query asks any replica for several messages at once (ADR-31): those that
// match Next from a sequence or a time on, or the last of each subject in
// Last, at most 1,024.
type Query struct {
	Sequence uint64     `json:"seq,omitempty"`
	Since    *time.Time `json:"start_time,omitempty"`
	Next     string     `json:"next_by_subj,omitempty"`
	Batch    int        `json:"batch,omitempty"`
	MaxBytes int        `json:"max_bytes,omitempty"`
	Last     []string   `json:"multi_last,omitempty"`
}

// Many carries out q and returns the messages in the order of their sequences;
// a replica may not yet have the newest.
func Many(ctx context.Context, nc *nats.Conn, stream string, q Query) ([]Message, error) {
	req, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	inbox := nc.NewRespInbox()
	replies := make(chan *nats.Msg, q.most()+1)  // and the end
	sub, err := nc.ChanSubscribe(inbox, replies) // whose own queue would be half a MiB
	if err != nil {
		return nil, unavailable(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := nc.PublishRequest("$JS.API.DIRECT.GET."+stream, inbox, req); err != nil {
		return nil, unavailable(err)
	}
	all := make([]Message, 0, min(q.most(), cap(replies)))
	silence := time.NewTimer(maxRequest)
	defer silence.Stop()
	for {
		var m *nats.Msg
		select {
		case m = <-replies:
			silence.Reset(maxRequest)
		case <-silence.C:
			return nil, unavailable(context.DeadlineExceeded)
		case <-ctx.Done():
			return nil, unavailable(ctx.Err())
		}
		switch status := m.Header.Get("Status"); status {
		case "":
			one, err := fromMsg(m)
			if err != nil {
				return nil, err
			}
			all = append(all, one)
		case "204", "404": // end of the batch; nothing at all
			return all, nil
		default:
			return nil, unavailable(fmt.Errorf("status %s", status))
		}
	}
}

// maxLast is how many messages a server gives for Last, whatever it is asked.
const maxLast = 1024

// most is how many messages may come.
func (q *Query) most() int {
	if q.Batch > 0 {
		return max(q.Batch, len(q.Last))
	}
	return maxLast
}

func fromMsg(m *nats.Msg) (Message, error) {
	seq, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return Message{}, unavailable(errors.New("an answer without a sequence"))
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get("Nats-Time-Stamp"))
	if err != nil {
		return Message{}, unavailable(errors.New("an answer without a time"))
	}
	return Message{m.Header.Get("Nats-Subject"), seq, at, Marker(m.Header), m.Data}, nil
}

// unavailable marks an error of the transport. The end of the caller's own
// context stays visible.
func unavailable(err error) error { return fmt.Errorf("%w: %w", ErrUnavailable, err) }
