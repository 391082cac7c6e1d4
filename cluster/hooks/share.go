package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"patchbay/cluster/envelope"
	"patchbay/cluster/lookup"
	"patchbay/cluster/placement"
	"patchbay/cluster/subject"
)

func isRevision(err error) bool { return errors.Is(err, errRevision) }

// A roll is who delivers, and whose shards are.
type roll struct {
	members map[string]member
	marks   [subject.EventShards]mark
	at      [subject.EventShards]uint64 // sequences of the marks; 0: there is none
}

// call reads the roll, from any replica: what is outdated is found out by the
// write that follows from it.
func (d *Deliverer) call(ctx context.Context) (r roll, err error) {
	r.members = map[string]member{}
	found, err := lookup.Many(ctx, d.js.Conn(), subject.StreamHooks, lookup.Query{Last: []string{subject.HookMembers, subject.HookMarks}})
	if err != nil {
		return r, fmt.Errorf("%w: %w", errAway, err)
	}
	for _, m := range found {
		switch {
		case m.Marker != "":
		case strings.HasSuffix(m.Subject, ".mark"):
			for n := range r.marks {
				if m.Subject != subject.HookMark(uint8(n)) {
					continue
				}
				if r.marks[n], err = decode[mark](m.Subject, m.Data); err != nil {
					return r, err
				}
				r.at[n] = m.Sequence
			}
		default:
			one, err := decode[member](m.Subject, m.Data)
			if err != nil {
				return r, err
			}
			r.members[one.Node] = one
		}
	}
	return r, nil
}

// owners says whose each shard should be: the same on every node that sees the
// same members.
func (r *roll) owners() (names [subject.EventShards]string) {
	var nodes []placement.Node
	for _, m := range r.members {
		nodes = append(nodes, placement.Node{Name: m.Node, Capacity: 1, Draining: m.Leaving})
	}
	slices.SortFunc(nodes, func(a, b placement.Node) int { return strings.Compare(a.Name, b.Name) })
	all := placement.Owners(nodes)
	copy(names[:], all[:])
	return names
}

// free reports that nobody delivers for a shard: its mark names nobody, or a
// node that is gone or has begun again.
func (r *roll) free(n int) bool {
	m := r.marks[n]
	if m.Node == "" {
		return true
	}
	owner, alive := r.members[m.Node]
	return !alive || owner.Boot != m.Boot
}

// look weighs what waits, and shares the shards anew.
func (d *Deliverer) look(ctx context.Context) error {
	if err := d.weigh(ctx); err != nil {
		return err
	}
	return d.share(ctx)
}

// share takes the shards that should be this node's, and gives away the others.
func (d *Deliverer) share(ctx context.Context) error {
	hooked, err := d.hooked(ctx)
	if err != nil {
		return err
	}
	r, err := d.call(ctx)
	if err != nil {
		return err
	}
	node, boot := d.lease.me()
	if m, ok := r.members[node]; !ok || m.Boot != boot { // a replica that is behind
		return nil
	}
	owners := r.owners()
	for n := range subject.EventShards {
		ours := owners[n] == node
		if d.keeps(ctx, uint8(n), ours) {
			continue
		}
		if err := d.unserved(ctx, &r, n, ours, hooked[n]); err != nil && !isRevision(err) {
			return err
		}
	}
	return nil
}

// unserved takes a shard that is not served here, if it should be and nobody has
// it. One that this node could not give away before it gives away now.
func (d *Deliverer) unserved(ctx context.Context, r *roll, n int, ours, hooked bool) (err error) {
	node, boot := d.lease.me()
	switch left := r.names(n, node, boot); {
	case ours && hooked && (left || r.free(n)):
		err = d.claim(ctx, uint8(n), r.marks[n], r.at[n])
	case !ours && left:
		_, err = d.putMark(ctx, uint8(n), mark{V: envelope.Version, Seq: r.marks[n].Seq}, r.at[n])
	}
	return err
}

// names reports that a shard's mark names a start of a node: where that does not
// serve it, nobody does.
func (r *roll) names(n int, node string, boot uint64) bool {
	return r.marks[n].Node == node && r.marks[n].Boot == boot
}

// weigh finds out whether there is room for more. What is full must still take
// the ends of what waits, which need some, too.
func (d *Deliverer) weigh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	s, err := d.js.Stream(ctx, subject.StreamHooks)
	if err != nil {
		return fmt.Errorf("%w: %w", errAway, err)
	}
	d.full.Store(s.CachedInfo().State.Bytes >= uint64(bounded(d.cfg.MaxBytes)))
	return nil
}

// keeps reports that a shard is served here, and is not to be claimed; one that
// should be another's begins to leave.
func (d *Deliverer) keeps(ctx context.Context, n uint8, ours bool) bool {
	d.mu.Lock()
	s := d.shards[n]
	d.mu.Unlock()
	switch {
	case s == nil:
		return false
	case s.over():
		d.forget(s)
	case !ours:
		d.going.Go(func() { d.release(ctx, s) })
	}
	return true
}

// claim makes a shard this node's, and begins to serve it.
func (d *Deliverer) claim(ctx context.Context, n uint8, was mark, at uint64) error {
	node, boot := d.lease.me()
	if at == 0 {
		was.Seq = d.idle[n] // 0: from the beginning; who wants them says from when on
	}
	next := mark{V: envelope.Version, Node: node, Boot: boot, Seq: was.Seq}
	rev, err := d.putMark(ctx, n, next, at)
	if err != nil {
		return err
	}
	s := newShard(ctx, d, n, next.Seq, rev)
	d.mu.Lock()
	d.shards[n] = s
	d.mu.Unlock()
	go s.run()
	return nil
}

func (d *Deliverer) putMark(ctx context.Context, n uint8, m mark, expect uint64) (uint64, error) {
	data, err := json.Marshal(m)
	if err != nil {
		return 0, err
	}
	return put(ctx, d.js, write{to: subject.HookMark(n), expect: expect, data: data})
}

// release lets requests on the line end, and gives the shard to whoever is to
// have it.
func (d *Deliverer) release(ctx context.Context, s *shard) {
	if !s.leave() {
		return // it is leaving already
	}
	defer d.forget(s)
	s.mu.Lock()
	rev, seq := s.markRev, s.at
	s.mu.Unlock()
	if _, err := d.putMark(ctx, s.n, mark{V: envelope.Version, Seq: seq}, rev); err != nil {
		d.told(err, "give a shard away") // share does it then, or it is free when the lease ends
	}
}
