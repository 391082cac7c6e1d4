// Package stats counts what endpoints decide: calls, rejections, and when the
// last call came. Deciders count in memory and write every 30 s, on top of what
// is there; control reads.
//
// It decides what a count may cost: one write per endpoint and interval,
// whatever its calls. It refuses to count endpoints beyond its room, and says
// so; a node that dies takes up to 30 s of its counts with it. Nothing here
// decides on a call: caps have counts of their own.
package stats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/endpoint"
	"patchbay/cluster/envelope"
	"patchbay/cluster/lookup"
	"patchbay/cluster/stream"
	"patchbay/cluster/subject"
)

// Limits of the bucket.
const (
	statsMaxBytes = 512 << 20 // about a million endpoints
	statsTTL      = 400 * 24 * time.Hour
	markerTTL     = time.Hour
	statsMaxEntry = 4 << 10 // bytes
)

// MaxRead is how many endpoints one Read asks for.
const MaxRead = 1000

// ErrUnavailable says that the bucket cannot be read or written now.
var ErrUnavailable = errors.New("stats: JetStream does not answer")

// Totals are what is known of one endpoint.
type Totals struct {
	Calls      uint64    `json:"calls"`                 // INVITEs that became calls
	Rejected   uint64    `json:"rejected"`              // INVITEs that were refused
	LastCallAt time.Time `json:"last_call_at,omitzero"` // of calls, not of rejections
}

// plus adds what was counted elsewhere.
func (t Totals) plus(more Totals) Totals {
	t.Calls += more.Calls
	t.Rejected += more.Rejected
	if more.LastCallAt.After(t.LastCallAt) {
		t.LastCallAt = more.LastCallAt
	}
	return t
}

// An entry is what the bucket holds of one endpoint. Its stamp tells a writer
// that did not hear of its success whether it had some.
type entry struct {
	V int `json:"v"`
	Totals
	By    string `json:"by"`
	Stamp uint64 `json:"stamp"`
}

// An ID names an endpoint in the bucket.
type ID struct {
	Key       endpoint.Key
	Partition uint8
}

// The bucket as the stream that it is.
const (
	bucket = "KV_" + subject.BucketStats
	keys   = "$KV." + subject.BucketStats + "."
)

func (id ID) subject() string { return keys + subject.KeyStats(id.Key, id.Partition) }

// A Board is the bucket.
type Board struct {
	js jetstream.JetStream
	nc *nats.Conn
}

// Open makes the bucket, brings an existing one up to date, or waits for it, as
// terms say.
func Open(ctx context.Context, js jetstream.JetStream, terms stream.Terms) (*Board, error) {
	err := terms.Open(ctx, js, jetstream.StreamConfig{
		Name: bucket, Description: "Patchbay: totals of endpoints",
		Subjects: []string{keys + ">"}, Storage: jetstream.FileStorage,
		MaxMsgsPerSubject: 1, MaxMsgSize: statsMaxEntry, MaxBytes: statsMaxBytes, Discard: jetstream.DiscardNew,
		AllowRollup: true, DenyDelete: true, AllowDirect: true, AllowMsgTTL: true, SubjectDeleteMarkerTTL: markerTTL,
	})
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", subject.BucketStats, err)
	}
	return &Board{js: js, nc: js.Conn()}, nil
}

// Read returns the totals of endpoints, at most MaxRead; those that were never
// called are left out. The error wraps ErrUnavailable.
func (b *Board) Read(ctx context.Context, ids []ID) (map[endpoint.Key]Totals, error) {
	all := make(map[endpoint.Key]Totals, len(ids))
	if len(ids) == 0 {
		return all, nil
	}
	byName := make(map[string]endpoint.Key, len(ids))
	ask := lookup.Query{}
	for _, id := range ids[:min(len(ids), MaxRead)] {
		byName[id.subject()] = id.Key
		ask.Last = append(ask.Last, id.subject())
	}
	found, err := lookup.Many(ctx, b.nc, bucket, ask)
	if err != nil {
		return nil, fmt.Errorf("read totals: %w: %w", ErrUnavailable, err)
	}
	for _, m := range found {
		if e, ok := decode(m); ok {
			all[byName[m.Subject]] = e.Totals
		}
	}
	return all, nil
}

// decode reads an entry; one that is gone, or of another version, is none.
func decode(m lookup.Message) (e entry, ok bool) {
	if m.Marker != "" || json.Unmarshal(m.Data, &e) != nil || e.V != envelope.Version {
		return entry{}, false
	}
	return e, true
}

// get returns what the leader has of one endpoint, and at which revision.
func (b *Board) get(ctx context.Context, id ID) (entry, uint64, error) {
	m, ok, err := lookup.Last(ctx, b.nc, bucket, id.subject())
	if err != nil || !ok {
		return entry{}, 0, err
	}
	e, _ := decode(m)
	return e, m.Sequence, nil
}

// errRace says that somebody else wrote meanwhile.
var errRace = errors.New("stats: another decider wrote meanwhile")

// put writes an entry over the revision it was made from.
func (b *Board) put(ctx context.Context, id ID, e entry, over uint64) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = b.js.PublishMsg(ctx, &nats.Msg{Subject: id.subject(), Data: data},
		jetstream.WithExpectLastSequencePerSubject(over), jetstream.WithMsgTTL(statsTTL))
	var api *jetstream.APIError
	if errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		return errRace
	}
	return err
}
