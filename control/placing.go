package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// Limits of calls that are placed, milliseconds.
const (
	DefaultRingMs = 60_000
	minRingMs     = 1_000
	maxRingMs     = 300_000
)

// A placing is a call on its way from its request to a media node.
type placing struct {
	in     NewCall
	tenant string
	acct   *endpoint.Account
	trunk  *endpoint.Trunk
	agent  endpoint.Agent
	others []endpoint.Agent
	to     endpoint.Target
	from   string

	problems []endpoint.Problem
}

func (p *placing) wrong(field, code, format string, args ...any) {
	p.problems = append(p.problems, endpoint.Problem{Field: field, Code: code, Message: fmt.Sprintf(format, args...)})
}

// check finds what the request names, and all that is wrong with it.
func (o *Operations) check(ctx context.Context, p *placing) (err error) {
	if p.acct, err = o.account(ctx, p.tenant); err != nil {
		return err
	}
	for _, part := range []func(context.Context, *placing) error{o.findAgent, o.findTrunk, o.findCallee, o.findCaller} {
		if err := part(ctx, p); err != nil {
			return err
		}
	}
	p.checkForm()
	if len(p.problems) > 0 {
		return invalidAll(p.problems)
	}
	return nil
}

// findAgent looks up the agent, and those that are asked where it does not
// take the call.
func (o *Operations) findAgent(ctx context.Context, p *placing) error {
	if p.in.AgentID == "" {
		p.wrong("agent_id", endpoint.CodeRequired, "want the id of an agent")
		return nil
	}
	a, err := o.Store.AgentByID(ctx, p.tenant, p.in.AgentID)
	switch {
	case errors.Is(err, endpoint.ErrNotFound):
		p.wrong("agent_id", "unknown", "no such agent")
		return nil
	case err != nil:
		return fmt.Errorf("look up agent: %w", err)
	case !a.IsActive:
		p.wrong("agent_id", endpoint.CodeInvalid, "the agent is not active")
	}
	p.agent = a
	p.others, err = actors.Failover(&a, func(id string) (*endpoint.Agent, error) {
		next, err := o.Store.AgentByID(ctx, p.tenant, id)
		if errors.Is(err, endpoint.ErrNotFound) {
			return nil, nil
		}
		return &next, err
	})
	if err != nil {
		return fmt.Errorf("look up agents: %w", err)
	}
	return nil
}

func (o *Operations) findTrunk(ctx context.Context, p *placing) error {
	if p.in.Trunk == "" {
		return nil
	}
	t, err := o.Trunks.TrunkByID(ctx, p.tenant, p.in.Trunk)
	switch {
	case errors.Is(err, endpoint.ErrNotFound):
		p.wrong("trunk", "unknown", "no such trunk")
		return nil
	case err != nil:
		return fmt.Errorf("look up trunk: %w", err)
	case !t.IsActive:
		p.wrong("trunk", endpoint.CodeInvalid, "the trunk is not active")
	}
	p.trunk = &t
	return nil
}

// findCallee reads whom to call: a URI as it is, a number at the trunk's domain.
func (o *Operations) findCallee(_ context.Context, p *placing) error {
	t, isURI := endpoint.ParseTarget(p.in.To)
	number, isNumber := dialable(p.in.To)
	switch {
	case p.in.To == "":
		p.wrong("to", endpoint.CodeRequired, "want sip:user@host, or a number where there is a trunk")
	case isURI:
		p.to = t
		if why := o.undiallable(t.Host); why != "" && p.trunk == nil {
			p.wrong("to", endpoint.CodeInvalid, "%s", why)
		}
	case !isNumber:
		p.wrong("to", endpoint.CodeInvalid, "want sip:user@host[:port][;transport=udp|tcp|tls], or a number where there is a trunk")
	case p.in.Trunk == "":
		p.wrong("to", endpoint.CodeInvalid, "a number needs a trunk")
	case p.trunk != nil:
		first := p.trunk.Addresses[0]
		p.to = endpoint.Target{User: number, Host: first.Host, Port: uint16(first.Port)}
		if p.trunk.Domain != "" {
			p.to.Host, p.to.Port = p.trunk.Domain, 0
		}
	}
	return nil
}

// findCaller settles as whom the call is placed.
func (o *Operations) findCaller(ctx context.Context, p *placing) error {
	c := caller{tenant: p.tenant, acct: p.acct, trunk: p.trunk, login: p.in.Username}
	if p.to.Host != "" {
		c.hosts = append(c.hosts, p.to.HostPort(), p.to.Host)
	}
	if t := p.trunk; t != nil {
		if c.login == "" {
			c.login = t.Username
		}
		for _, a := range t.Addresses {
			c.hosts = append(c.hosts, hostPort(a.Host, 0), hostPort(a.Host, a.Port))
		}
	}
	from, problem, err := o.from(ctx, c, p.in.From)
	if problem != nil {
		p.problems = append(p.problems, *problem)
	}
	p.from = from
	return err
}

// checkForm looks at what needs no other object.
func (p *placing) checkForm() {
	in := &p.in
	p.within("max_duration_ms", in.MaxDurationMs, 1000, endpoint.MaxDurationMs)
	p.within("ring_timeout_ms", in.RingTimeoutMs, minRingMs, maxRingMs)
	p.login("username", in.Username)
	p.login("password", in.Password)
	if in.Password != "" && in.Username == "" {
		p.wrong("username", endpoint.CodeRequired, "a password is somebody's")
	}
	p.checkHeaders(in.Headers)
	for field, doc := range map[string]json.RawMessage{"context": in.Context, "metadata": in.Metadata, "settings": in.Settings, "session": in.Session} {
		p.object(field, doc)
	}
}

// within checks a number of milliseconds that may be left out.
func (p *placing) within(field string, ms, least, most int64) {
	if ms != 0 && (ms < least || ms > most) {
		p.wrong(field, endpoint.CodeOutOfRange, "want %d to %d", least, most)
	}
}

// login checks a part of the credentials, without repeating it.
func (p *placing) login(field, text string) {
	if len(text) > endpoint.MaxLoginText || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		p.wrong(field, endpoint.CodeInvalid, "want at most %d bytes without control characters", endpoint.MaxLoginText)
	}
}

// object checks a JSON object that may be left out.
func (p *placing) object(field string, doc json.RawMessage) {
	var fields map[string]json.RawMessage
	if len(doc) > endpoint.MaxDocument || len(doc) > 0 && json.Unmarshal(doc, &fields) != nil {
		p.wrong(field, endpoint.CodeInvalid, "want a JSON object of at most %d bytes", endpoint.MaxDocument)
	}
}

// checkHeaders holds header fields of a request of ours to their limits.
func (p *placing) checkHeaders(all []call.Header) {
	if len(all) > endpoint.MaxOutgoingHeaders {
		p.wrong("headers", endpoint.CodeTooMany, "%d headers, want at most %d", len(all), endpoint.MaxOutgoingHeaders)
		return
	}
	for i, h := range all {
		if why := endpoint.CheckHeader(h.Name, h.Value); why != "" {
			p.wrong(fmt.Sprintf("headers[%d]", i), endpoint.CodeInvalid, "%s", why)
		}
	}
}

// jobOf is what the media node gets.
func (o *Operations) jobOf(p *placing, id call.ID) (actors.Job, error) {
	d := &actors.Dial{ID: id, Trunk: p.in.Trunk, To: p.to.URI(), From: p.from, Username: p.in.Username, Headers: slices.Clone(p.in.Headers),
		Context: p.in.Context, Metadata: p.in.Metadata, Settings: p.in.Settings, RingTimeoutMs: p.in.RingTimeoutMs, MaxDurationMs: p.in.MaxDurationMs, EarlyMedia: p.in.EarlyMedia}
	if d.RingTimeoutMs == 0 {
		d.RingTimeoutMs = DefaultRingMs
	}
	if p.in.Password != "" {
		sealed, err := o.Sealer.Seal(p.in.Password)
		if err != nil {
			return actors.Job{}, fmt.Errorf("seal password: %w", err)
		}
		d.Password = sealed
	}
	if p.in.Session != nil {
		p.agent.WebRTC.Session = p.in.Session
		for i := range p.others {
			p.others[i].WebRTC.Session = p.in.Session
		}
	}
	job := actors.Job{V: 1, Key: call.TransactionKey{CallID: id.String(), FromTag: "out", CSeq: 1}, Tenant: p.tenant, Agent: &p.agent, Failover: p.others, Dial: d,
		Transfer: p.acct.Transfers(nil)}
	if project := p.acct.Project(p.agent.ProjectID); project != nil {
		job.Project = endpoint.ProjectKey(p.tenant, project.ID)
	}
	if p.trunk != nil {
		job.Endpoint = endpoint.TrunkKey(p.tenant, p.trunk.ID)
		job.DTMF = p.trunk.Keys()
		p.through(d, uint64(id))
	}
	return job, nil
}

// through adds what the trunk says.
func (p *placing) through(d *actors.Dial, random uint64) {
	d.Refer = p.trunk.AcceptRefer
	if d.Username == "" {
		d.Username, d.Password, d.Realm = p.trunk.Username, p.trunk.PasswordEnc, p.trunk.Realm
	}
	for _, name := range slices.Sorted(maps.Keys(p.trunk.Headers)) {
		if !slices.ContainsFunc(d.Headers, func(h call.Header) bool { return strings.EqualFold(h.Name, name) }) {
			d.Headers = append(d.Headers, call.Header{Name: name, Value: p.trunk.Headers[name]})
		}
	}
	for _, a := range p.trunk.Order(random) {
		hop := endpoint.Target{User: p.to.User, Host: a.Host, Port: uint16(a.Port), Transport: a.Transport}
		d.Hops = append(d.Hops, hop.URI())
	}
}

// caps are what the call counts against.
func (p *placing) caps() []actors.Cap {
	limits := p.acct.Limits(p.agent.ProjectID)
	var all []actors.Cap
	if q := p.acct.Project(p.agent.ProjectID); q != nil && (limits.MaxConcurrentCalls > 0 || limits.CPS > 0) {
		all = append(all, actors.Cap{What: "account", Key: endpoint.ProjectKey(p.tenant, q.ID), Calls: limits.MaxConcurrentCalls, PerSecond: limits.CPS})
	}
	if t := p.trunk; t != nil && (t.MaxConcurrentCalls != nil || t.MaxCallsPerSecond != nil) {
		all = append(all, actors.Cap{What: "trunk", Key: endpoint.TrunkKey(p.tenant, t.ID), Calls: valueOf(t.MaxConcurrentCalls), PerSecond: valueOf(t.MaxCallsPerSecond)})
	}
	return all
}

func valueOf(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// party is a URI as a call shows it; "": whoever calls and does not say who
// (RFC 3323 4.1.1.3).
func party(uri string) call.Party {
	if uri == "" {
		return call.Party{URI: "sip:anonymous@anonymous.invalid", User: "anonymous", Host: "anonymous.invalid", Display: "Anonymous"}
	}
	t, ok := endpoint.ParseTarget(uri)
	if !ok {
		return call.Party{}
	}
	return call.Party{URI: uri, User: t.User, Host: t.Host}
}
