package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"patchbay/actors/endpoint"
)

// Limits of an import.
const (
	MaxImport   = 500  // lines of one request
	maxProblems = 1000 // told of one import; the rest show once these are mended
)

// Kinds of lines.
const (
	LineAgent    = "agent"
	LineEndpoint = "endpoint"
)

// A Line is one object of an export, and of an import.
type Line struct {
	Line       int             `json:"line,omitempty"` // of the file, for problems; 0: its place in the request
	Kind       string          `json:"kind"`           // agent or endpoint
	ID         string          `json:"id"`
	Slug       string          `json:"slug,omitempty"`        // of an endpoint; "": made here, or kept
	SlugPrefix string          `json:"slug_prefix,omitempty"` // of an endpoint without one
	User       string          `json:"user,omitempty"`        // of an endpoint at the account's domain
	As         endpoint.Kind   `json:"as,omitempty"`          // the endpoint's kind; "": slug, or address where there is a user
	Domain     string          `json:"domain,omitempty"`      // of an endpoint of kind domain
	Origin     string          `json:"origin,omitempty"`      // of an endpoint: the API that it was made through; "": native
	ProjectID  string          `json:"project_id,omitempty"`  // of an endpoint
	Spec       json.RawMessage `json:"spec"`
}

// An Import is the request of account.import: objects to make, or to bring to
// what their lines say, in one atomic batch.
type Import struct {
	Lines   []Line `json:"lines"`
	DryRun  bool   `json:"dry_run,omitempty"` // check only
	Partial bool   `json:"partial,omitempty"` // leave out lines with mistakes instead of all
	// Agents are ids that other requests of the same file make: a dry run takes
	// them for granted.
	Agents []string `json:"agents,omitempty"`
}

// A LineProblem is one mistake of one line.
type LineProblem struct {
	Line int `json:"line"`
	endpoint.Problem
}

// An Imported answers account.import.
type Imported struct {
	Created   int           `json:"created"`
	Updated   int           `json:"updated"`
	Unchanged int           `json:"unchanged"`
	Problems  []LineProblem `json:"problems,omitempty"`
	DryRun    bool          `json:"dry_run,omitempty"`
}

// ImportLines makes the objects of the lines, and changes those whose ids exist
// to what the lines say: a second import of the same lines changes nothing. A
// mistake in one line keeps all from being written, unless partial says
// otherwise. Secrets of agents are kept where a line has none.
func (o *Operations) ImportLines(ctx context.Context, tenant string, in Import) (Imported, error) {
	switch n := len(in.Lines); {
	case n == 0:
		return Imported{}, invalid("lines", endpoint.CodeRequired, "want at least one line")
	case n > MaxImport:
		return Imported{}, invalid("lines", endpoint.CodeTooMany, fmt.Sprintf("%d lines, want at most %d", n, MaxImport))
	}
	acct, err := o.account(ctx, tenant)
	if err != nil {
		return Imported{}, err
	}
	done, err := o.importBatch(ctx, tenant, acct, in, false)
	if code := errorOf(err).Code; err != nil && (code == CodeExists || code == CodeConflict) {
		return o.importBatch(ctx, tenant, acct, in, true) // what was read may have been behind
	}
	return done, err
}

// importBatch reads the lines and writes what they make. With now it looks at
// every object as it is now, one by one.
func (o *Operations) importBatch(ctx context.Context, tenant string, acct *endpoint.Account, in Import, now bool) (Imported, error) {
	b := &batch{o: o, tenant: tenant, acct: acct, now: o.Now(), ids: map[string]int{}, addrs: map[endpoint.Key]int{},
		names: map[endpoint.Claimed]int{}, agents: map[string]bool{}}
	if in.DryRun {
		for _, id := range in.Agents {
			b.agents[id] = true
		}
	}
	if !now {
		if err := b.look(ctx, in.Lines); err != nil {
			return Imported{}, fmt.Errorf("import: %w", err)
		}
	}
	for i, line := range in.Lines {
		if line.Line == 0 {
			line.Line = i + 1
		}
		if err := b.add(ctx, line); err != nil {
			return Imported{}, fmt.Errorf("import line %d: %w", line.Line, err)
		}
	}
	if err := b.checkAgents(ctx); err != nil {
		return Imported{}, fmt.Errorf("import: %w", err)
	}
	return b.finish(ctx, in)
}

// A batch is an import under way.
type batch struct {
	o      *Operations
	tenant string
	acct   *endpoint.Account
	now    time.Time
	ids    map[string]int           // line of each id
	addrs  map[endpoint.Key]int     // line of each new endpoint's address
	names  map[endpoint.Claimed]int // line of each name that a new endpoint has alone
	agents map[string]bool          // ids that will be there

	oldAgents map[string]endpoint.Agent // nil: each is read where it is wanted
	oldEps    map[string]endpoint.Endpoint
	newAgents []lined[endpoint.Agent]
	newEps    []lined[endpoint.Endpoint]
	unchanged int
	problems  []LineProblem
}

// A lined object knows its line.
type lined[T any] struct {
	line int
	v    T
}

func (b *batch) problem(line int, ps ...endpoint.Problem) {
	for _, p := range ps {
		if len(b.problems) < maxProblems {
			b.problems = append(b.problems, LineProblem{line, p})
		}
	}
}

// mistake notes what a client did wrong in a line, and returns any other error.
func (b *batch) mistake(line int, err error) error {
	var told *Error
	var p endpoint.Problem
	switch {
	case errors.As(err, &told) && told.Code == CodeInvalid:
		b.problem(line, told.Problems...)
	case errors.As(err, &p):
		b.problem(line, p)
	default:
		return err
	}
	return nil
}

// add reads one line. It returns errors that are not the line's fault.
func (b *batch) add(ctx context.Context, l Line) error {
	if first, twice := b.ids[l.Kind+l.ID]; twice && l.ID != "" {
		b.problem(l.Line, endpoint.Problem{Field: "id", Code: endpoint.CodeDuplicate, Message: fmt.Sprintf("line %d has the same id", first)})
		return nil
	}
	b.ids[l.Kind+l.ID] = l.Line
	switch {
	case l.ID == "":
		b.problem(l.Line, endpoint.Problem{Field: "id", Code: endpoint.CodeRequired, Message: "want a UUID: imports are idempotent by it"})
		return nil
	case l.Kind == LineAgent:
		return b.mistake(l.Line, b.addAgent(ctx, l))
	case l.Kind == LineEndpoint:
		return b.mistake(l.Line, b.addEndpoint(ctx, l))
	}
	b.problem(l.Line, endpoint.Problem{Field: "kind", Code: endpoint.CodeInvalid, Message: "want agent or endpoint"})
	return nil
}

func (b *batch) addAgent(ctx context.Context, l Line) error {
	if l.Slug+l.SlugPrefix+l.User+l.ProjectID+string(l.As)+l.Domain+l.Origin != "" {
		return invalid("kind", endpoint.CodeInvalid, "an agent has no address and no project")
	}
	spec, err := merge(newAgentSpec(), l.Spec)
	if err != nil {
		return err
	}
	a, err := b.agentBy(ctx, l.ID)
	before := a
	switch {
	case errorOf(err).Code == CodeNotFound:
		a = endpoint.Agent{V: 1, ID: l.ID, Tenant: b.tenant, CreatedAt: b.now}
	case err != nil:
		return err
	}
	problems, err := b.o.putAgent(&a, spec, b.now)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return invalidAll(problems)
	}
	b.agents[l.ID] = true
	if secret := spec.WebRTC.AuthSecret; secret != "" && b.o.seals(before.WebRTC.AuthSecret, secret) {
		a.WebRTC.AuthSecret = before.WebRTC.AuthSecret // a seal is never the same twice
	}
	before.UpdatedAt = a.UpdatedAt
	if a.Revision != 0 && reflect.DeepEqual(agentSpecOf(before), agentSpecOf(a)) && before.WebRTC.AuthSecret == a.WebRTC.AuthSecret {
		b.unchanged++
		return nil
	}
	b.newAgents = append(b.newAgents, lined[endpoint.Agent]{l.Line, a})
	return nil
}

// seals reports whether a sealed secret is that one. One that cannot be opened
// any more is another.
func (o *Operations) seals(sealed endpoint.SecretRef, secret string) bool {
	if sealed == "" {
		return false
	}
	is, err := o.Sealer.Open(sealed)
	return err == nil && is == secret
}

func (b *batch) addEndpoint(ctx context.Context, l Line) error {
	spec, err := merge(newEndpointSpec(), l.Spec)
	if err != nil {
		return err
	}
	ep, err := b.endpointBy(ctx, l.ID)
	switch {
	case errorOf(err).Code == CodeNotFound:
		if ep, err = b.newEndpoint(l); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		if err := l.stays(&ep); err != nil {
			return err
		}
	}
	before := ep
	problems, err := b.o.putEndpoint(spec, &ep)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return invalidAll(problems)
	}
	if ep.Revision != 0 && reflect.DeepEqual(specOf(before), specOf(ep)) {
		b.unchanged++
		return nil
	}
	if err := b.claim(l.Line, &ep); err != nil {
		return err
	}
	b.newEps = append(b.newEps, lined[endpoint.Endpoint]{l.Line, ep})
	return nil
}

// stays refuses a line that would move an endpoint.
func (l *Line) stays(ep *endpoint.Endpoint) error {
	switch {
	case l.Slug != "" && endpoint.Slug(l.Slug) != ep.Slug, l.User != "" && l.User != ep.User, l.As != "" && l.As != ep.Kind,
		l.Domain != "" && l.Domain != ep.Domain:
		return invalid("slug", endpoint.CodeInvalid, "the endpoint exists at another address, and an address never changes")
	case l.ProjectID != ep.ProjectID:
		return invalid("project_id", endpoint.CodeInvalid, "the endpoint exists in another project, and a project never changes")
	}
	return nil
}

// claim refuses a new endpoint whose address another line has.
func (b *batch) claim(line int, ep *endpoint.Endpoint) error {
	addr, ok := ep.Address()
	if !ok || ep.Revision != 0 {
		return nil
	}
	if first, twice := b.addrs[addr.Key()]; twice {
		return invalid("slug", endpoint.CodeDuplicate, fmt.Sprintf("line %d has the same address", first))
	}
	for _, c := range ep.Unique() {
		if first, twice := b.names[c]; twice {
			return invalid(c.Field, endpoint.CodeDuplicate, fmt.Sprintf("line %d has the same", first))
		}
		b.names[c] = line
	}
	b.addrs[addr.Key()] = line
	return nil
}

// newEndpoint is an endpoint that does not exist yet, with the address of its
// line or a slug of its own.
func (b *batch) newEndpoint(l Line) (endpoint.Endpoint, error) {
	ep := endpoint.Endpoint{V: 1, ID: l.ID, Tenant: b.tenant, CreatedAt: b.now}
	if l.Slug != "" && (l.User+l.SlugPrefix != "" || l.As != "" && l.As != endpoint.KindSlug) {
		return ep, invalid("slug", endpoint.CodeInvalid, "want one of slug, slug_prefix and user")
	}
	err := place(&ep, NewEndpoint{Kind: l.As, SlugPrefix: l.SlugPrefix, User: l.User, Domain: l.Domain, Origin: l.Origin, ProjectID: l.ProjectID}, b.acct)
	if err == nil && l.Slug != "" { // over the one that was made
		ep.Slug, err = endpoint.ParseSlug(l.Slug)
	}
	return ep, err
}

// checkAgents looks for the agents that endpoints name: in the batch, among
// those taken for granted, in the store.
func (b *batch) checkAgents(ctx context.Context) error {
	kept := b.newEps[:0]
	for _, ep := range b.newEps {
		id := ep.v.Handler.Agent()
		if id != "" && !b.agents[id] {
			if err := b.o.agentExists(ctx, b.tenant, ep.v.Handler); err != nil {
				if err := b.mistake(ep.line, err); err != nil {
					return err
				}
				continue
			}
			b.agents[id] = true
		}
		kept = append(kept, ep)
	}
	b.newEps = kept
	return nil
}

// finish writes the batch, if it may.
func (b *batch) finish(ctx context.Context, in Import) (Imported, error) {
	done := Imported{Unchanged: b.unchanged, Problems: b.problems, DryRun: in.DryRun}
	var agents []endpoint.Agent
	var eps []endpoint.Endpoint
	for _, a := range b.newAgents {
		done.count(a.v.Revision)
		agents = append(agents, a.v)
	}
	for _, ep := range b.newEps {
		done.count(ep.v.Revision)
		eps = append(eps, ep.v)
	}
	if in.DryRun {
		return done, nil
	}
	if len(b.problems) > 0 && !in.Partial {
		return Imported{}, lineErrors(b.problems)
	}
	terms := b.o.terms(ctx, b.tenant, b.acct)
	terms.Once = endpoint.Once{} // an import is idempotent by its ids
	if err := b.o.Store.Apply(ctx, b.tenant, agents, eps, terms); err != nil {
		return Imported{}, b.refused(fmt.Errorf("import %d lines: %w", len(agents)+len(eps), err))
	}
	return done, nil
}

func (d *Imported) count(rev endpoint.Revision) {
	if rev == 0 {
		d.Created++
	} else {
		d.Updated++
	}
}

// lineErrors refuses an import, with the line before each field.
func lineErrors(ps []LineProblem) *Error {
	e := &Error{Code: CodeInvalid, Message: "nothing was imported"}
	for _, p := range ps {
		at := p.Problem
		at.Field = fmt.Sprintf("line %d: %s", p.Line, p.Field)
		e.Problems = append(e.Problems, at)
	}
	return e
}
