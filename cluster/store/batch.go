package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// errRace says that a key was not at the revision expected of it. The caller
// reads again and knows then whether that was true: on a replicated stream the
// server also says so (10164 instead of 10071) while another write of the same
// key is under way.
var errRace = errors.New("store: a key is at another revision")

// ErrTooLarge says that an object is larger than the bucket takes: 64 KiB, with
// its headers.
var ErrTooLarge = errors.New("store: the object is too large")

// errMessageTooLarge is JetStream's code for a message beyond MaxMsgSize.
const errMessageTooLarge = 10054

// An op is one change of a batch, made only if key is at revision expect.
type op struct {
	key    string
	expect uint64
	data   []byte        // nil: mark the key as gone
	ttl    time.Duration // after which the server marks it as gone; 0: never
}

// commit makes all changes or none and returns the revision of the last one;
// the others' precede it one by one (ADR-50).
func (s *Store) commit(ctx context.Context, ops ...op) (uint64, error) {
	if len(ops) == 0 {
		return 0, errors.New("store: nothing to commit")
	}
	for _, o := range ops[:len(ops)-1] { // of the last one the server says so
		if len(o.data) > maxObject-maxHeader {
			return 0, fmt.Errorf("%w: %s has %d bytes", ErrTooLarge, o.key, len(o.data))
		}
	}
	batch, last := nuid.Next(), len(ops)-1
	for i, o := range ops[:last] {
		if err := s.nc.PublishMsg(batched(s.message(o), batch, i)); err != nil {
			return 0, unavailable(err)
		}
	}
	m := s.message(ops[last])
	if last > 0 {
		batched(m, batch, last).Header.Set("Nats-Batch-Commit", "1")
	}
	return s.acknowledged(ctx, m, maxWrite+time.Duration(len(ops))*perObject)
}

// batched makes m the i-th message of a batch.
func batched(m *nats.Msg, batch string, i int) *nats.Msg {
	m.Header.Set("Nats-Batch-Id", batch)
	m.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
	return m
}

func (s *Store) message(o op) *nats.Msg {
	m := nats.NewMsg(s.prefix + o.key)
	m.Data = o.data
	m.Header.Set("Nats-Expected-Last-Subject-Sequence", strconv.FormatUint(o.expect, 10))
	if o.ttl > 0 { // in whole seconds, at least one (ADR-43)
		m.Header.Set("Nats-TTL", strconv.FormatInt(int64(max(o.ttl, time.Second)/time.Second), 10))
	}
	if o.data == nil {
		m.Header.Set("KV-Operation", "PURGE")
		m.Header.Set("Nats-Rollup", "sub")
		m.Header.Set("Nats-TTL", strconv.Itoa(int(markerTTL/time.Second)))
	}
	return m
}

func (s *Store) acknowledged(ctx context.Context, m *nats.Msg, wait time.Duration) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	rep, err := s.nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return 0, fmt.Errorf("%w: the outcome is not known: %w", ErrUnavailable, err)
	}
	var ack struct {
		Seq   uint64              `json:"seq"`
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(rep.Data, &ack); err != nil {
		return 0, fmt.Errorf("%w: the outcome is not known: %w", ErrUnavailable, err)
	}
	switch {
	case ack.Error == nil:
		return ack.Seq, nil
	case ack.Error.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence,
		ack.Error.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return 0, fmt.Errorf("%w: %w", errRace, ack.Error)
	case ack.Error.ErrorCode == errMessageTooLarge:
		return 0, ErrTooLarge
	default:
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, ack.Error)
	}
}
