package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/call"
	"patchbay/cluster/envelope"
	"patchbay/cluster/lookup"
	"patchbay/cluster/stream"
	"patchbay/cluster/subject"
	"patchbay/cluster/tail"
)

// A slot is a promise to every token that names it (design D4): it stays with
// its node's name, and is given to another 24 h after the last lease at the
// earliest.
const (
	slotReuse     = 24 * time.Hour
	slotRenew     = time.Hour
	slotTries     = 16 // lost races for a slot before Claim gives up
	maxSlot       = 1<<16 - 1
	leasesWait    = 10 * time.Second // for all leases to be read
	clusterBytes  = 16 << 20
	clusterMarker = 5 * time.Second
)

// ErrNoSlot says that every slot is another node's.
var ErrNoSlot = errors.New("cluster: no slot is free")

// A Lease is what the cluster bucket holds of one slot.
type lease struct {
	V        int       `json:"v"`
	Node     string    `json:"node"`
	LeasedAt time.Time `json:"leased_at"`
	rev      uint64
}

// Slots give media nodes their numbers.
type Slots struct {
	js   jetstream.JetStream
	kv   jetstream.KeyValue
	node string
	now  func() time.Time
	log  *slog.Logger
	slot call.Slot
	rev  uint64
}

// Declare makes the cluster bucket, or waits for it.
func Declare(ctx context.Context, js jetstream.JetStream, terms stream.Terms) error {
	err := terms.Open(ctx, js, jetstream.StreamConfig{
		Name: "KV_" + subject.BucketCluster, Description: "Patchbay: who is who", Subjects: []string{"$KV." + subject.BucketCluster + ".>"},
		Storage: jetstream.FileStorage, MaxMsgsPerSubject: 1, MaxBytes: clusterBytes, Discard: jetstream.DiscardNew,
		AllowRollup: true, DenyDelete: true, AllowDirect: true, AllowMsgTTL: true, SubjectDeleteMarkerTTL: clusterMarker,
	})
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", subject.BucketCluster, err)
	}
	return nil
}

// OpenSlots opens the cluster bucket for the node of that name. now is the
// clock.
func OpenSlots(ctx context.Context, c *Conn, terms stream.Terms, node string, now func() time.Time, log *slog.Logger) (*Slots, error) {
	if err := Declare(ctx, c.JetStream(), terms); err != nil {
		return nil, err
	}
	kv, err := c.JetStream().KeyValue(ctx, subject.BucketCluster)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", subject.BucketCluster, err)
	}
	return &Slots{js: c.JetStream(), kv: kv, node: node, now: now, log: log}, nil
}

// Claim returns the node's slot: the one that bears its name, else the lowest
// that nobody has, or that nobody has leased for 24 h. It returns ErrNoSlot
// when there is none.
func (s *Slots) Claim(ctx context.Context) (call.Slot, error) {
	for range slotTries {
		leases, err := s.leases(ctx)
		if err != nil {
			return 0, fmt.Errorf("claim a slot: %w", err)
		}
		n, ok := choose(leases, s.node, s.now())
		if !ok {
			return 0, fmt.Errorf("claim a slot: %w", ErrNoSlot)
		}
		err = s.take(ctx, n, leases[n].rev)
		if err == nil {
			return n, nil
		}
		if !errors.Is(err, jetstream.ErrKeyExists) && !errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
			return 0, fmt.Errorf("claim slot %d: %w", n, err)
		}
	}
	return 0, fmt.Errorf("claim a slot: lost %d races", slotTries)
}

// choose says which slot node should claim.
func choose(leases map[call.Slot]lease, node string, now time.Time) (call.Slot, bool) {
	for n, l := range leases {
		if l.Node == node {
			return n, true
		}
	}
	for n := call.Slot(1); ; n++ {
		l, taken := leases[n]
		if !taken || now.Sub(l.LeasedAt) >= slotReuse {
			return n, true
		}
		if n == maxSlot {
			return 0, false
		}
	}
}

// errWhole ends a reading that has come to what is there now.
var errWhole = errors.New("that was all")

// leases reads who has which slot. It does not use kv.Watch, which waits for
// ever where its server dies meanwhile.
func (s *Slots) leases(ctx context.Context) (map[call.Slot]lease, error) {
	ctx, cancel := context.WithTimeout(ctx, leasesWait)
	defer cancel()
	const prefix = "$KV." + subject.BucketCluster + "."
	all := make(map[call.Slot]lease)
	empty := false
	err := tail.Follow(ctx, s.js, tail.Query{Stream: "KV_" + subject.BucketCluster, Filter: prefix + "slot.*"}, func(pending uint64) {
		if empty = pending == 0; empty {
			cancel()
		}
	}, func(m tail.Message) error {
		n, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, prefix+"slot."), 10, 16)
		if err == nil && lookup.Marker(m.Header) == "" { // else not a key of ours, or gone
			l := lease{rev: m.Sequence}
			if err := json.Unmarshal(m.Data, &l); err != nil || l.V != envelope.Version {
				return fmt.Errorf("slot.%d: revision %d is no lease of version %d", n, m.Sequence, envelope.Version)
			}
			all[call.Slot(n)] = l
		}
		if m.Pending == 0 {
			return errWhole
		}
		return nil
	})
	if empty || errors.Is(err, errWhole) {
		return all, nil
	}
	return nil, err
}

// take writes the lease if the key is still at rev; 0: if there is none.
func (s *Slots) take(ctx context.Context, n call.Slot, rev uint64) error {
	data, err := json.Marshal(lease{V: envelope.Version, Node: s.node, LeasedAt: s.now().UTC()})
	if err != nil {
		return err
	}
	key := subject.KeySlot(uint16(n))
	if rev == 0 {
		rev, err = s.kv.Create(ctx, key, data)
	} else {
		rev, err = s.kv.Update(ctx, key, data, rev)
	}
	if err == nil {
		s.slot, s.rev = n, rev
	}
	return err
}

// Run renews the lease every hour until ctx ends. It fails when another node
// has the slot: going on would mix up two nodes' calls.
func (s *Slots) Run(ctx context.Context) error {
	tick := time.NewTicker(slotRenew)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := s.Renew(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// Renew extends the lease now. It fails only if the slot is another node's; a
// bucket that cannot be written is tried again an hour later.
func (s *Slots) Renew(ctx context.Context) error {
	err := s.take(ctx, s.slot, s.rev)
	if err == nil {
		return nil
	}
	s.log.Warn("slot lease not renewed", "slot", s.slot, "err", err)
	e, err := s.kv.Get(ctx, subject.KeySlot(uint16(s.slot)))
	if err != nil {
		return nil
	}
	var l lease
	if json.Unmarshal(e.Value(), &l) == nil && l.Node != s.node {
		return fmt.Errorf("renew slot %d: it is node %s's now", s.slot, l.Node)
	}
	s.rev = e.Revision()
	return nil
}
