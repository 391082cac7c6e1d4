package actors

import (
	"hash/maphash"
	"sync"
	"time"

	"patchbay/actors/call"
)

const (
	keyShards = 64
	// maxRemembered is how many transaction keys a node keeps without a call:
	// of calls that have gone, of CANCELs that came first, and of calls that it had
	// no room for. Beyond it the oldest is forgotten.
	maxRemembered = 1 << 16
)

// A keyEntry is what a transaction key stands for: a call; a call that has
// gone; with cancelled set, a CANCEL that came before its INVITE; or, with
// passed set, a call that this node had no room for: it is another's since.
type keyEntry struct {
	branch    string
	id        call.ID
	actor     *actor // nil: gone, cancelled or passed
	cancelled bool
	passed    bool
	until     time.Time // of an entry without actor
}

// A keyring makes the intake idempotent: it knows the calls by transaction
// key, and remembers the keys for a while after.
type keyring struct {
	ttl    time.Duration // 64*T1: a carrier repeats an INVITE no longer
	seed   maphash.Seed
	shards [keyShards]keyShard
}

// A keyShard is a part of the keys with a lock of its own. Lock it before use.
type keyShard struct {
	sync.Mutex
	entries map[call.TransactionKey]*keyEntry
	order   []rememberedKey // entries without actor, oldest first
	loop    *Loop
	sweep   *Timer // belongs to loop
	swept   bool   // sweep is set, or about to be
}

type rememberedKey struct {
	key   call.TransactionKey
	entry *keyEntry
}

func newKeyring(host *Host, ttl time.Duration) *keyring {
	k := &keyring{ttl: ttl, seed: maphash.MakeSeed()}
	for i := range k.shards {
		s := &k.shards[i]
		s.loop = host.Loop(uint64(i))
		s.sweep = s.loop.Timer(s.tidy)
	}
	return k
}

func (k *keyring) shard(key call.TransactionKey) *keyShard {
	return &k.shards[maphash.Comparable(k.seed, key)%keyShards]
}

func (k *keyring) remembered() int {
	n := 0
	for i := range k.shards {
		k.shards[i].Lock()
		n += len(k.shards[i].order)
		k.shards[i].Unlock()
	}
	return n
}

// find returns what the key stands for at now, or nil.
func (s *keyShard) find(key call.TransactionKey, now time.Time) *keyEntry {
	e := s.entries[key]
	if e == nil || e.actor == nil && !now.Before(e.until) {
		return nil
	}
	return e
}

// hold makes the key stand for a call.
func (s *keyShard) hold(key call.TransactionKey, branch string, a *actor) {
	if s.entries == nil {
		s.entries = make(map[call.TransactionKey]*keyEntry)
	}
	s.entries[key] = &keyEntry{branch: branch, id: a.id, actor: a}
}

// release undoes hold, as if the INVITE had never come.
func (s *keyShard) release(key call.TransactionKey) { delete(s.entries, key) }

// remember keeps an entry without actor until its time.
func (s *keyShard) remember(key call.TransactionKey, e *keyEntry, now time.Time) {
	s.expire(now)
	if len(s.order) >= maxRemembered/keyShards {
		s.forgetOldest()
	}
	if s.entries == nil {
		s.entries = make(map[call.TransactionKey]*keyEntry)
	}
	s.entries[key] = e
	s.order = append(s.order, rememberedKey{key, e})
	if s.swept {
		return
	}
	s.swept = true
	due := e.until
	// ErrStopped: then nothing is left to tidy either.
	_ = s.loop.Post(func(time.Time) { s.sweep.Set(due) })
}

// tidy runs on the shard's loop.
func (s *keyShard) tidy(now time.Time) {
	s.Lock()
	defer s.Unlock()
	s.expire(now)
	if s.swept = len(s.order) > 0; s.swept {
		s.sweep.Set(s.order[0].entry.until)
	}
}

func (s *keyShard) expire(now time.Time) {
	for len(s.order) > 0 && !now.Before(s.order[0].entry.until) {
		s.forgetOldest()
	}
	if len(s.order) == 0 {
		s.order = nil
	}
}

func (s *keyShard) forgetOldest() {
	oldest := s.order[0]
	if s.entries[oldest.key] == oldest.entry {
		delete(s.entries, oldest.key)
	}
	s.order[0] = rememberedKey{}
	s.order = s.order[1:]
}
