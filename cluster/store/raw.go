package store

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
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// stored is one message of the bucket.
type stored struct {
	key  string
	rev  uint64 // 0: there is none and never was, as far as the stream knows
	op   string // KV-Operation, or the reason of the server's own marker
	data []byte
}

// gone reports whether there is no object at the key.
func (s stored) gone() bool { return s.rev == 0 || s.op != "" }

func (s *Store) fromMsg(m *nats.Msg) (stored, error) {
	seq, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return stored{}, fmt.Errorf("%w: answer without a sequence", ErrUnavailable)
	}
	return stored{
		key:  strings.TrimPrefix(m.Header.Get("Nats-Subject"), s.prefix),
		rev:  seq,
		op:   marker(m.Header.Get("KV-Operation"), m.Header.Get("Nats-Marker-Reason")),
		data: m.Data,
	}, nil
}

func marker(op, reason string) string {
	if op == "" || op == "PUT" {
		return reason
	}
	return op
}

// getDirect reads the last message of key from any replica: not
// read-after-write (ADR-8).
func (s *Store) getDirect(ctx context.Context, key string) (stored, error) {
	m, err := s.nc.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+s.stream+"."+s.prefix+key, nil)
	if err != nil {
		return stored{}, unavailable(err)
	}
	switch status := m.Header.Get("Status"); status {
	case "":
		return s.fromMsg(m)
	case "404":
		return stored{key: key}, nil
	default:
		return stored{}, fmt.Errorf("%w: status %s", ErrUnavailable, status)
	}
}

// getLeader reads the last message of key from the stream's leader.
func (s *Store) getLeader(ctx context.Context, key string) (stored, error) {
	req, err := json.Marshal(map[string]string{"last_by_subj": s.prefix + key})
	if err != nil {
		return stored{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, maxRequest)
	defer cancel()
	m, err := s.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+s.stream, req)
	if err != nil {
		return stored{}, unavailable(err)
	}
	var rep struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Seq     uint64 `json:"seq"`
			Headers string `json:"hdrs"`
			Data    []byte `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(m.Data, &rep); err != nil {
		return stored{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	switch {
	case rep.Error != nil && rep.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return stored{key: key}, nil
	case rep.Error != nil:
		return stored{}, fmt.Errorf("%w: %w", ErrUnavailable, rep.Error)
	}
	op, err := operation(rep.Message.Headers)
	return stored{key: key, rev: rep.Message.Seq, op: op, data: rep.Message.Data}, err
}

// operation reads the marker out of a message's header block, which the
// leader's answer holds in base64.
func operation(block string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(block)
	if err != nil || len(raw) == 0 {
		return "", err
	}
	_, fields, _ := bytes.Cut(raw, []byte("\r\n")) // NATS/1.0
	h, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(fields))).ReadMIMEHeader()
	if err != nil {
		return "", fmt.Errorf("read headers: %w", err)
	}
	return marker(h.Get("KV-Operation"), h.Get("Nats-Marker-Reason")), nil
}

// A directQuery asks a replica for several messages at once (ADR-31).
type directQuery struct {
	Seq       uint64   `json:"seq,omitempty"`
	Batch     int      `json:"batch,omitempty"`
	Next      string   `json:"next_by_subj,omitempty"`
	MultiLast []string `json:"multi_last,omitempty"`
}

// getMany carries out q and returns the messages in the order of their
// sequences.
func (s *Store) getMany(ctx context.Context, q directQuery) ([]stored, error) {
	req, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, maxRequest)
	defer cancel()
	inbox := s.nc.NewRespInbox()
	sub, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, unavailable(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := s.nc.PublishRequest("$JS.API.DIRECT.GET."+s.stream, inbox, req); err != nil {
		return nil, unavailable(err)
	}
	var all []stored
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, unavailable(err)
		}
		switch status := m.Header.Get("Status"); status {
		case "":
			one, err := s.fromMsg(m)
			if err != nil {
				return nil, err
			}
			all = append(all, one)
		case "204", "404": // end of the batch; nothing at all
			return all, nil
		default:
			return nil, fmt.Errorf("%w: status %s", ErrUnavailable, status)
		}
	}
}

// unavailable marks an error of the transport, so that callers need not know
// NATS. The end of the caller's own context stays visible.
func unavailable(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
