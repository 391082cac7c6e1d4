package store

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
)

// Limits of catalogues.
const (
	MaxCatalogue = 400_000 // lines in memory, of all tenants
	catalogPage  = 1000    // lines read at once
)

// A catalogue holds what filters look at of tenants' endpoints. A tenant's is
// read when it is first filtered, and then follows the feed of changes; the
// least recently used goes where there are too many lines.
type catalogue struct {
	held atomic.Int32 // listings; most nodes have none

	mu       sync.Mutex // of all below; never held while something is read
	listings map[string]*listing
	owner    map[string]place // line of each endpoint, by its key
	clock    uint64           // counts uses
}

// A place is one line of a listing.
type place struct {
	l *listing
	i int
}

// A listing is one tenant's part of the catalogue, in the order of creation.
type listing struct {
	turn chan struct{} // whose turn it is to bring it up to date

	// Of catalogue.mu.
	dirty map[int]uint64 // lines that have changed, and at which revision at least
	grown uint64         // newest revision of the index that was heard of
	used  uint64
	gone  bool // forgotten: its lines are nobody's
	whole bool // it has been read to the end once

	mu     sync.RWMutex // of the lines: they change under it alone
	lines  []catalogLine
	ids    map[string]int // line of each id
	live   int
	from   uint64 // first revision of the index that was not read
	shared map[string]string
}

// A catalogLine is one endpoint; of one that is gone, key is empty.
type catalogLine struct {
	seq   uint64 // of its index entry
	id    string
	key   string
	brief endpoint.Brief
}

// touch hears that a key has changed.
func (c *catalogue) touch(key string, rev uint64) {
	if c.held.Load() == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.owner[key]; ok {
		p.l.dirty[p.i] = max(p.l.dirty[p.i], rev)
		return
	}
	if tenant, ok := indexedTenant(key); ok {
		if l := c.listings[tenant]; l != nil {
			l.grown = max(l.grown, rev)
		}
	}
}

// indexedTenant returns the tenant of an endpoint's index entry.
func indexedTenant(key string) (string, bool) {
	rest, ok := strings.CutPrefix(key, "idx.")
	if !ok {
		return "", false
	}
	tenant, rest, _ := strings.Cut(rest, ".")
	return tenant, strings.HasPrefix(rest, string(subject.NounEndpoint)+".")
}

// open returns the tenant's listing, which may be empty yet.
func (c *catalogue) open(tenant string) *listing {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock++
	l := c.listings[tenant]
	if l == nil {
		if c.listings == nil {
			c.listings, c.owner = map[string]*listing{}, map[string]place{}
		}
		l = &listing{turn: make(chan struct{}, 1), dirty: map[int]uint64{}, from: 1, grown: 1, shared: map[string]string{}, ids: map[string]int{}}
		c.listings[tenant] = l
		c.held.Add(1)
	}
	l.used = c.clock
	return l
}

// find returns the key of a tenant's endpoint, as far as its listing knows.
func (c *catalogue) find(tenant, id string) (key string, ok bool) {
	l := c.of(tenant)
	if l == nil {
		return "", false
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	i, ok := l.ids[id]
	if !ok {
		return "", false
	}
	return l.lines[i].key, true
}

// whole reports that a tenant's listing is there.
func (c *catalogue) whole(tenant string) bool {
	l := c.of(tenant)
	if l == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return l.whole
}

// of returns the tenant's listing; nil: there is none.
func (c *catalogue) of(tenant string) *listing {
	if c.held.Load() == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.listings[tenant]
}

// drop forgets a tenant's listing.
func (c *catalogue) drop(tenant string) {
	c.mu.Lock()
	l := c.listings[tenant]
	if l != nil {
		l.gone = true // no line is added to owner from here on
		delete(c.listings, tenant)
		c.held.Add(-1)
	}
	c.mu.Unlock()
	if l == nil {
		return
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range l.lines {
		if key := l.lines[i].key; c.owner[key].l == l {
			delete(c.owner, key)
		}
	}
}

// room forgets other tenants' listings until there is room for n lines more;
// false: the tenant alone has too many.
func (c *catalogue) room(l *listing, n int) bool {
	for {
		c.mu.Lock()
		oldest, name := (*listing)(nil), ""
		for tenant, other := range c.listings {
			if other != l && (oldest == nil || other.used < oldest.used) {
				oldest, name = other, tenant
			}
		}
		fits := len(c.owner)+n <= MaxCatalogue
		c.mu.Unlock()
		if fits || oldest == nil {
			return fits
		}
		c.drop(name)
	}
}

// changes takes what is to be read again of a listing, and says whether there
// is more of the index.
func (c *catalogue) changes(l *listing) (dirty map[int]uint64, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(l.dirty) > 0 {
		dirty, l.dirty = l.dirty, map[int]uint64{}
	}
	return dirty, l.grown >= l.from || !l.whole
}

// again marks lines that could not be read yet.
func (c *catalogue) again(l *listing, dirty map[int]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, rev := range dirty {
		l.dirty[i] = max(l.dirty[i], rev)
	}
}

// settled says that the index has been read up to revision from; grown stays
// where a replica has not yet shown what was heard of.
func (c *catalogue) settled(l *listing, from uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.from = from
}

// FindEndpoints returns the part of a tenant's endpoints that a filter chooses
// and a window shows, in the order of their creation. The filter works in
// memory; only what is shown is read. ErrLimit where the tenant has too many to
// be held.
func (s *Store) FindEndpoints(ctx context.Context, tenant string, f endpoint.Filter, w endpoint.Window) (endpoint.Listed, error) {
	from, err := parseCursor(w.Cursor)
	if err != nil {
		return endpoint.Listed{}, err
	}
	l, err := s.listing(ctx, tenant)
	if err != nil {
		s.warm(tenant) // what was read so far stays read
		return endpoint.Listed{}, fmt.Errorf("list endpoints of %s: %w", tenant, err)
	}
	w.Limit = min(max(w.Limit, 1), MaxPage)
	if w.Cursor == "" && w.Newest {
		from = ^uint64(0)
	}
	keys, next, total := l.choose(f.Matcher(), w, from)
	listed := endpoint.Listed{Next: next, Total: total, Items: make([]endpoint.Endpoint, 0, len(keys))}
	if err := each(ctx, s, keys, func(ep endpoint.Endpoint) { listed.Items = append(listed.Items, ep) }); err != nil {
		return endpoint.Listed{}, fmt.Errorf("list endpoints of %s: %w", tenant, err)
	}
	return listed, nil
}

// choose goes through the lines: all of them where they are to be counted, else
// only as far as the page needs.
func (l *listing) choose(m endpoint.Matcher, w endpoint.Window, from uint64) (keys []string, next string, total int) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	p := pager{w: w, counts: w.Count && w.Cursor == "" && len(m) > 0}
	for at := l.start(w, from); at >= 0 && at < len(l.lines) && !p.full(); at = step(at, w.Newest) {
		if line := &l.lines[at]; line.key != "" && m.Matches(&line.brief) {
			p.take(line)
		}
	}
	return p.keys, p.next, l.count(m, &p)
}

// A pager takes the lines of a page, in order, and sees where the next begins.
type pager struct {
	w      endpoint.Window
	counts bool // all lines are to be offered
	seen   int  // lines that were offered
	keys   []string
	next   string
}

func (p *pager) full() bool { return p.next != "" && !p.counts }

func (p *pager) take(line *catalogLine) {
	p.seen++
	switch {
	case p.seen <= p.w.Offset:
	case len(p.keys) < p.w.Limit:
		p.keys = append(p.keys, line.key)
	case p.next == "":
		p.next = cursorAt(line.seq)
	}
}

// start is the first line that a cursor shows.
func (l *listing) start(w endpoint.Window, from uint64) int {
	after := sort.Search(len(l.lines), func(i int) bool { return l.lines[i].seq >= from })
	if w.Newest && (after == len(l.lines) || l.lines[after].seq > from) {
		after--
	}
	return after
}

func step(at int, newest bool) int {
	if newest {
		return at - 1
	}
	return at + 1
}

// count is how many lines the filter chooses in all, where that is wanted.
func (l *listing) count(m endpoint.Matcher, p *pager) (total int) {
	switch {
	case !p.w.Count:
		return 0
	case len(m) == 0:
		return l.live
	case p.counts:
		return p.seen
	}
	for i := range l.lines {
		if line := &l.lines[i]; line.key != "" && m.Matches(&line.brief) {
			total++
		}
	}
	return total
}
