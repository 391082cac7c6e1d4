package spool

import (
	"errors"
	"fmt"
	"os"
	"slices"
)

// A Batch is the oldest entries of a kind, one segment of them.
type Batch struct {
	Entries [][]byte
	kind    Kind
	segment *segment
}

// Next returns the oldest entries of a kind; nil: there are none. Until they
// are settled it returns the same ones again, also in another process: what
// is replayed may have been replayed before.
func (s *Spool) Next(kind Kind) (*Batch, error) {
	for {
		g, err := s.take(kind)
		if g == nil || err != nil {
			return nil, err
		}
		b, err := s.read(kind, g)
		if err != nil {
			return nil, fmt.Errorf("read spool: %w", err)
		}
		if b == nil {
			continue
		}
		if len(b.Entries) > 0 {
			return b, nil
		}
		if err := s.Settle(b); err != nil {
			return nil, err
		}
	}
}

// read returns what can be read of a segment; nil: nothing, and it is out of
// the way.
func (s *Spool) read(kind Kind, g *segment) (*Batch, error) {
	text, err := os.ReadFile(g.path)
	if errors.Is(err, os.ErrNotExist) { // somebody cleared it away
		s.discard(kind, g)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	of, entries, damaged, err := Read(text, s.cluster)
	if err == nil && of != kind {
		err = fmt.Errorf("%w: it holds %s", ErrUnreadable, of)
	}
	if err != nil {
		return nil, s.setAside(kind, g, err)
	}
	if damaged > 0 && s.obs.Damaged != nil {
		s.obs.Damaged(kind, damaged)
	}
	return &Batch{Entries: entries, kind: kind, segment: g}, nil
}

// take marks the oldest segment of a kind as worked on. The one that is being
// appended to is sealed first.
func (s *Spool) take(kind Kind) (*segment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	q := &s.series[kind]
	if len(q.sealed) == 0 && q.open != nil {
		if err := s.seal(q); err != nil {
			return nil, fmt.Errorf("read spool: %w", err)
		}
	}
	if len(q.sealed) == 0 {
		return nil, nil
	}
	q.sealed[0].taken = true
	return q.sealed[0], nil
}

// Settle removes a batch whose entries need not be kept any more.
func (s *Spool) Settle(b *Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.series[b.kind].sealed, b.segment)
	if i < 0 {
		return nil
	}
	if err := s.remove(b.kind, i); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("clear spool: %w", err)
	}
	return nil
}

// discard forgets a segment whose file is gone.
func (s *Spool) discard(kind Kind, g *segment) {
	_ = s.Settle(&Batch{kind: kind, segment: g}) // only fails if there is a file
	if s.obs.Damaged != nil {
		s.obs.Damaged(kind, g.entries)
	}
}

// setAside renames a segment that cannot be read, for its operator: the
// cluster key that it wants may come back.
func (s *Spool) setAside(kind Kind, g *segment, why error) error {
	if err := os.Rename(g.path, g.path+unreadable); err != nil {
		return fmt.Errorf("set aside: %w", err)
	}
	_ = s.Settle(&Batch{kind: kind, segment: g}) // only fails if there is a file
	if s.obs.Unreadable != nil {
		s.obs.Unreadable(g.path+unreadable, why)
	}
	return nil
}
