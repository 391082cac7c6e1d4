package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

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

// extend reads the part of the index that was not read: the next page of it while
// the objects of the one before come.
func (s *Store) extend(ctx context.Context, tenant string, l *listing) error {
	var coming chan error // of the page before
	arrived := func() error {
		if coming == nil {
			return nil
		}
		defer func() { coming = nil }()
		return <-coming
	}
	for from := l.from; ; {
		index, err := s.getMany(ctx, directQuery{Seq: from, Batch: catalogPage, Next: s.prefix + subject.IndexOf(tenant, subject.NounEndpoint)})
		if late := arrived(); late != nil || err != nil {
			return errors.Join(late, err)
		}
		if len(index) == 0 {
			s.catalogue.settle(l)
			return nil
		}
		if !s.catalogue.room(l, len(index)) {
			s.catalogue.drop(tenant)
			return fmt.Errorf("%w: of more than %d endpoints none can be chosen", ErrLimit, MaxCatalogue)
		}
		next, done := index[len(index)-1].rev+1, make(chan error, 1)
		go func() {
			err := s.read(ctx, tenant, l, index)
			if err == nil {
				s.catalogue.settled(l, next)
			}
			done <- err
		}()
		from = next
		coming = done
		if len(index) < catalogPage {
			if err := arrived(); err != nil {
				return err
			}
			s.catalogue.settle(l)
			return nil
		}
	}
}

// settle says that the index has been read to its end.
func (c *catalogue) settle(l *listing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.whole = true
}

// Limits of reading listings ahead.
const (
	warmQueue = 16               // tenants whose listings are to be read; more are left out
	warmWait  = 60 * time.Second // longest time for one
)

// warm has a tenant's listing read soon, for the lists that follow.
func (s *Store) warm(tenant string) {
	select {
	case s.cold <- tenant:
	default: // they are read when they are wanted
	}
}

// warmUp reads listings ahead until ctx ends.
func (s *Store) warmUp(ctx context.Context) {
	for {
		select {
		case tenant := <-s.cold:
			one, cancel := context.WithTimeout(ctx, warmWait)
			if _, err := s.listing(one, tenant); err != nil && ctx.Err() == nil {
				s.log.Warn("list of endpoints not read ahead", "tenant", tenant, "err", err)
			}
			cancel()
		case <-ctx.Done():
			return
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
		id := strings.Clone(raw.key[strings.LastIndexByte(raw.key, '.')+1:])
		lines, keys = append(lines, catalogLine{seq: raw.rev, id: id, key: key}), append(keys, key)
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
	packed(lines)
	first := len(l.lines)
	l.lines, l.live = append(l.lines, lines...), l.live+len(lines)
	for i := first; i < len(l.lines); i++ {
		l.ids[l.lines[i].id] = i
	}
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
	line := &l.lines[i]
	if line.key == "" {
		return
	}
	if l.ids[line.id] == i {
		delete(l.ids, line.id)
	}
	line.key, line.brief = "", endpoint.Brief{}
	l.live--
}

// packed lays the texts that filters go through side by side: a filter looks at
// those of all lines, in their order.
func packed(lines []catalogLine) {
	var b strings.Builder
	for i := range lines {
		b.WriteString(lines[i].brief.Name)
		b.WriteString(lines[i].brief.User)
	}
	all, at := b.String(), 0
	take := func(text *string) {
		*text, at = all[at:at+len(*text)], at+len(*text)
	}
	for i := range lines {
		take(&lines[i].brief.Name)
		take(&lines[i].brief.User)
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
