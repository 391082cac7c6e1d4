package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
)

// listing returns the tenant's listing, up to date with what this node has heard.
func (s *Store) listing(ctx context.Context, tenant string) (*listing, error) {
	l := s.catalogue.open(tenant)
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
	dirty, grown := s.catalogue.changes(l)
	if err := s.refresh(ctx, l, dirty); err != nil {
		s.catalogue.again(l, dirty)
		return nil, err
	}
	if !grown {
		return l, nil
	}
	if err := s.extend(ctx, tenant, l); err != nil {
		return nil, err
	}
	if dead := len(l.lines) - l.live; dead > catalogPage && dead > l.live { // read again, without the holes
		s.catalogue.drop(tenant)
	}
	return l, nil
}

// extend reads the part of the index that was not read.
func (s *Store) extend(ctx context.Context, tenant string, l *listing) error {
	for {
		index, err := s.getMany(ctx, directQuery{Seq: l.from, Batch: catalogPage, Next: s.prefix + subject.IndexOf(tenant, subject.NounEndpoint)})
		if err != nil || len(index) == 0 {
			return err
		}
		if !s.catalogue.room(l, len(index)) {
			s.catalogue.drop(tenant)
			return fmt.Errorf("%w: of more than %d endpoints none can be chosen", ErrLimit, MaxCatalogue)
		}
		if err := s.read(ctx, tenant, l, index); err != nil {
			return err
		}
		s.catalogue.settled(l, index[len(index)-1].rev+1)
		if len(index) < catalogPage {
			return nil
		}
	}
}

// read adds the lines of a part of the index.
func (s *Store) read(ctx context.Context, tenant string, l *listing, index []stored) error {
	var lines []catalogLine
	var keys []string
	for _, raw := range index {
		if raw.gone() {
			continue
		}
		key, err := target(raw, tenant, subject.NounEndpoint)
		if err != nil {
			return err
		}
		lines, keys = append(lines, catalogLine{seq: raw.rev, key: key}), append(keys, key)
	}
	have, err := s.newest(ctx, keys)
	if err != nil {
		return err
	}
	for i := range lines {
		if lines[i].brief, err = l.brief(have[lines[i].key]); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	first := len(l.lines)
	l.lines, l.live = append(l.lines, lines...), l.live+len(lines)
	for _, i := range s.catalogue.own(l, first, func(key string) (heard uint64, behind bool) {
		heard = s.cache.floor(key)
		return heard, have[key].rev < heard || have[key].gone()
	}) {
		l.bury(i)
	}
	return nil
}

// brief reads what filters look at; an object that is not to be seen yet, or
// not any more, matches nothing until it is read again.
func (l *listing) brief(have stored) (b endpoint.Brief, err error) {
	if have.gone() {
		return b, nil
	}
	if b, err = endpoint.ReadBrief(have.data, l.intern); err != nil {
		return b, fmt.Errorf("read %s: revision %d: %w", have.key, have.rev, err)
	}
	return b, nil
}

// bury makes a hole of a line.
func (l *listing) bury(i int) {
	if line := &l.lines[i]; line.key != "" {
		line.key, line.brief = "", endpoint.Brief{}
		l.live--
	}
}

func (l *listing) intern(text string) string {
	if have, ok := l.shared[text]; ok {
		return have
	}
	if len(l.shared) < catalogPage*10 {
		l.shared[text] = text
	}
	return text
}

// own makes changes of the lines from first on known to their listing. behind
// says which have changed since they were read. It returns the lines before
// them that had the same keys: of endpoints that are gone.
func (c *catalogue) own(l *listing, first int, behind func(key string) (uint64, bool)) (old []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.gone {
		return nil
	}
	for i := first; i < len(l.lines); i++ {
		key := l.lines[i].key
		if p, twice := c.owner[key]; twice && p.l == l {
			old = append(old, p.i)
		}
		c.owner[key] = place{l, i}
		if rev, is := behind(key); is {
			l.dirty[i] = max(l.dirty[i], rev)
		}
	}
	return old
}

// refresh reads lines again that have changed.
func (s *Store) refresh(ctx context.Context, l *listing, dirty map[int]uint64) error {
	if len(dirty) == 0 {
		return nil
	}
	at := slices.Sorted(maps.Keys(dirty))
	keys := make([]string, len(at))
	for n, i := range at {
		keys[n] = l.lines[i].key
	}
	have, err := s.newest(ctx, keys)
	if err != nil {
		return err
	}
	for n, i := range at { // a replica that is behind
		if raw := have[keys[n]]; raw.rev < dirty[i] || raw.rev == 0 {
			if have[keys[n]], err = s.getLeader(ctx, keys[n]); err != nil {
				return err
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var gone []string
	for n, i := range at {
		raw, line := have[keys[n]], &l.lines[i]
		if line.key == "" {
			continue
		}
		if raw.gone() {
			gone = append(gone, line.key)
			l.bury(i)
			continue
		}
		if line.brief, err = l.brief(raw); err != nil {
			return err
		}
	}
	s.catalogue.disown(l, gone)
	return nil
}

// disown forgets keys that are gone: what is made there anew has a line of its
// own.
func (c *catalogue) disown(l *listing, keys []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		if c.owner[key].l == l {
			delete(c.owner, key)
		}
	}
}

func cursorAt(seq uint64) string { return strconv.FormatUint(seq, 36) }
