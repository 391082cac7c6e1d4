package spool

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"patchbay/internal/dirlock"
	"patchbay/internal/keys"
)

// Limits of segments, bytes. A spool has room for sixteen of them at least,
// so that making room costs a small part of the events that wait.
const (
	maxSegment = 1 << 20
	minSegment = 4 << 10
	shares     = 16
)

// MinBytes is the smallest bound of a spool.
const MinBytes = 1 << 20

// Errors of Append and Sync.
var (
	// ErrFull says that only records are left, and that they fill the spool.
	ErrFull = errors.New("spool: full of records")
	// ErrTooLarge says that an entry is larger than MaxEntry.
	ErrTooLarge = errors.New("spool: entry too large")
	// ErrClosed says that the spool was closed.
	ErrClosed = errors.New("spool: closed")
)

// An Observer hears what was lost. Nil hooks are skipped; they must not block.
type Observer struct {
	Dropped    func(kind Kind, entries int)    // the oldest made room
	Damaged    func(kind Kind, entries int)    // changed, or cut off: skipped
	Unreadable func(segment string, err error) // set aside under its name with .unreadable
}

// A Spool is one node's. It is safe for concurrent use.
type Spool struct {
	dir      string
	maxBytes int64
	cluster  *keys.Cluster
	obs      Observer
	lock     *dirlock.Lock

	syncing sync.Mutex // one fsync at a time: it covers what all have appended
	waiting [Snapshots + 1]atomic.Int64

	mu     sync.Mutex
	number uint64 // of the newest segment
	bytes  int64
	closed bool
	series [Snapshots + 1]series
	dirty  map[*segment]struct{} // appended to since the last Sync
	last   uint64                // number of the newest entry, of all kinds
	lost   uint64                // the newest that was there when fsync(2) last failed
	fsync  func(*os.File) error
}

// A series is the segments of one kind.
type series struct {
	sealed []*segment // the oldest first
	open   *segment   // appended to; nil: none
}

// Open opens the spool of a directory and keeps other processes out. What an
// earlier process left comes first. maxBytes bounds it on disk, at least
// MinBytes. The error wraps dirlock.ErrInUse where another process has it.
func Open(dir string, maxBytes int64, cluster *keys.Cluster, obs Observer) (*Spool, error) {
	lock, err := dirlock.Take(dir)
	if err != nil {
		return nil, fmt.Errorf("open spool %s: %w", dir, err)
	}
	s := &Spool{dir: dir, maxBytes: max(maxBytes, MinBytes), cluster: cluster, obs: obs, lock: lock, dirty: make(map[*segment]struct{}), fsync: (*os.File).Sync}
	if err := s.scan(); err != nil {
		lock.Release()
		return nil, fmt.Errorf("open spool %s: %w", dir, err)
	}
	return s, nil
}

func (s *Spool) scan() error {
	paths, err := filepath.Glob(filepath.Join(s.dir, "*"+suffix))
	if err != nil {
		return err
	}
	for _, path := range paths { // in order of name, and so of number
		g, kind, ok, err := found(path)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		s.series[kind].sealed = append(s.series[kind].sealed, g)
		s.bytes += g.size
		s.number = max(s.number, g.number)
		s.waiting[kind].Add(int64(g.entries))
	}
	return nil
}

// Append puts an entry at the end of its kind. It is on the disk after the
// next Sync. When the spool is full
// the oldest snapshots go, then the oldest events.
func (s *Spool) Append(kind Kind, data []byte) error {
	_, err := s.enter(kind, data)
	return err
}

// Keep is Append, and returns once the entry is on the disk. With an error it
// may come back nevertheless.
func (s *Spool) Keep(kind Kind, data []byte) error {
	n, err := s.enter(kind, data)
	if err != nil {
		return err
	}
	return s.sync(n)
}

// enter appends an entry and returns its number.
func (s *Spool) enter(kind Kind, data []byte) (n uint64, err error) {
	if len(data) > MaxEntry {
		return 0, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(data), MaxEntry)
	}
	var dropped [Snapshots + 1]int
	err = func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed {
			return ErrClosed
		}
		need := int64(headSize + frameHead + len(data) + tagSize)
		for s.bytes+need > s.maxBytes {
			kind, n, err := s.dropOldest()
			if err != nil {
				return err
			}
			dropped[kind] += n
		}
		s.last++
		n = s.last
		return s.append(kind, data)
	}()
	for kind, n := range dropped {
		if n > 0 && s.obs.Dropped != nil {
			s.obs.Dropped(Kind(kind), n)
		}
	}
	if err != nil {
		return n, fmt.Errorf("spool %s: %w", kind, err)
	}
	return n, nil
}

func (s *Spool) append(kind Kind, data []byte) error {
	q := &s.series[kind]
	if q.open != nil && q.open.size >= s.segmentBytes() {
		if err := s.seal(q); err != nil {
			return err
		}
	}
	if q.open == nil {
		g, err := create(s.dir, s.number+1, kind, s.cluster.Derive(keys.Storage))
		if err != nil {
			return err
		}
		s.number++
		s.bytes += g.size
		q.open = g
	}
	g := q.open
	before := g.size
	if err := g.write(g.seal.frame(data)); err != nil {
		return errors.Join(err, s.seal(q)) // its nonce is spent: the next entry begins a segment
	}
	g.entries++
	s.waiting[kind].Add(1)
	s.bytes += g.size - before
	s.dirty[g] = struct{}{}
	return nil
}

func (s *Spool) segmentBytes() int64 {
	return min(max(s.maxBytes/shares, minSegment), maxSegment)
}

// seal ends the open segment of a series.
func (s *Spool) seal(q *series) error {
	g := q.open
	q.open = nil
	q.sealed = append(q.sealed, g)
	delete(s.dirty, g)
	err := g.retire(s.fsync)
	if err != nil {
		s.lost = s.last
	}
	return err
}

// dropOldest removes the oldest segment of snapshots, or else of events, that
// nobody works on. Snapshots go first: what they say is in memory, too.
func (s *Spool) dropOldest() (kind Kind, entries int, err error) {
	for _, kind := range []Kind{Snapshots, Events} {
		q := &s.series[kind]
		i := slices.IndexFunc(q.sealed, func(g *segment) bool { return !g.taken })
		if i < 0 && q.open != nil {
			if err := s.seal(q); err != nil {
				return kind, 0, err
			}
			i = len(q.sealed) - 1
		}
		if i >= 0 {
			entries = q.sealed[i].entries
			return kind, entries, s.remove(kind, i)
		}
	}
	return 0, 0, ErrFull
}

func (s *Spool) remove(kind Kind, i int) error {
	q := &s.series[kind]
	g := q.sealed[i]
	q.sealed = slices.Delete(q.sealed, i, i+1)
	s.bytes -= g.size
	s.waiting[kind].Add(int64(-g.entries))
	return os.Remove(g.path)
}

// errLost is what a caller hears whose entry another's fsync(2) did not bring to
// the disk: that error is told to one of them only.
var errLost = errors.New("spool: not brought to the disk with others' entries")

// Sync returns once all that was appended before is on the disk. Callers at
// the same time share one fsync(2); who must know of an entry of its own uses
// Keep.
func (s *Spool) Sync() error { return s.sync(math.MaxUint64) }

// sync brings to the disk what is not there, and answers for entry n.
func (s *Spool) sync(n uint64) error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.mu.Lock()
	files := make(map[*segment]*os.File, len(s.dirty))
	for g := range s.dirty {
		files[g] = g.file
	}
	clear(s.dirty)
	s.mu.Unlock()
	var failed error
	for g, f := range files {
		// ErrClosed: the segment was sealed meanwhile, and synced with that.
		if err := s.fsync(f); err != nil && !errors.Is(err, os.ErrClosed) {
			failed = errors.Join(failed, err, s.abandon(g))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if failed == nil && s.lost >= n {
		return errLost
	}
	return failed
}

// abandon ends a segment of which the disk may lack a piece: the kernel tells of
// that once, and a second fsync(2) would say that all is well.
func (s *Spool) abandon(g *segment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = s.last
	for kind := range s.series {
		if q := &s.series[kind]; q.open == g {
			return s.seal(q)
		}
	}
	return nil
}

// Waiting returns how many entries of a kind are not settled.
func (s *Spool) Waiting(kind Kind) int { return int(s.waiting[kind].Load()) }

// Bytes returns the size of the spool on disk.
func (s *Spool) Bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// Close puts on the disk what was appended and lets go of the directory. What
// waits is there at the next Open.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var failed error
	for kind := range s.series {
		if q := &s.series[kind]; q.open != nil {
			failed = errors.Join(failed, s.seal(q))
		}
	}
	s.lock.Release()
	return failed
}
