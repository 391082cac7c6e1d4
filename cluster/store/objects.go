package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
)

// An indexLine is what an index entry holds: where the id of an endpoint or of
// an API key leads.
type indexLine struct {
	V         int          `json:"v"`
	Partition uint8        `json:"partition,omitempty"`
	Key       endpoint.Key `json:"key,omitempty"`
}

// CreateEndpoint stores a new endpoint and returns its revision. It returns
// endpoint.ErrExists if its address or its id is taken, an *endpoint.Duplicate if
// a name of it is, ErrLimit when the tenant has Config.MaxEndpoints already or, of
// kind register, terms.Registrations, and ErrAddress for one that is not whole; of its terms, ErrDaily, endpoint.ErrReused and an
// *endpoint.Repeat. When it returns, every live decider knows the endpoint.
func (s *Store) CreateEndpoint(ctx context.Context, ep endpoint.Endpoint, terms endpoint.Terms) (endpoint.Revision, error) {
	it, err := endpointItem(&ep)
	if err != nil {
		return 0, err
	}
	return s.create(ctx, it, s.cfg.MaxEndpoints, terms)
}

// UpdateEndpoint replaces the version at ep.Revision. It returns
// endpoint.ErrConflict if another is stored, endpoint.ErrNotFound if none is at
// the endpoint's address. Its address cannot change.
func (s *Store) UpdateEndpoint(ctx context.Context, ep endpoint.Endpoint) (endpoint.Revision, error) {
	it, err := endpointItem(&ep)
	if err != nil {
		return 0, err
	}
	stands, err := s.locate(ctx, ep.Tenant, ep.ID)
	if err != nil {
		return 0, err
	}
	if stands != it.key {
		return 0, fmt.Errorf("%w %s cannot change", ErrAddress, ep.ID)
	}
	return s.replace(ctx, it, ep.Revision)
}

// DeleteEndpoint removes the endpoint with ep's tenant and id if it is at
// ep.Revision (0: at any). When it returns, every live decider refuses calls
// to it.
func (s *Store) DeleteEndpoint(ctx context.Context, ep endpoint.Endpoint) error {
	key, err := s.locate(ctx, ep.Tenant, ep.ID)
	if err != nil {
		return err
	}
	_, err = s.remove(ctx, item{tenant: ep.Tenant, noun: subject.NounEndpoint, id: ep.ID, key: key}, ep.Revision)
	return err
}

// EndpointByID reads an endpoint by its id, as the leader has it now. Where the
// id leads never changes while the endpoint is there, so any replica may say
// so, or this node's listing; only where that leads nowhere is the leader asked.
func (s *Store) EndpointByID(ctx context.Context, tenant, id string) (endpoint.Endpoint, error) {
	if key, ok := s.whereabouts(ctx, tenant, id); ok {
		ep, err := current[endpoint.Endpoint](ctx, s, key)
		if !errors.Is(err, endpoint.ErrNotFound) && (err != nil || ep.ID == id) {
			return ep, err
		}
	}
	key, err := s.locate(ctx, tenant, id)
	if err != nil {
		return endpoint.Endpoint{}, err
	}
	return current[endpoint.Endpoint](ctx, s, key)
}

// mostPlain is how long an id may be that is no UUID, octets. Slugs and API keys
// are longer.
const mostPlain = 20

// speakable reports whether what is given for an id may stand in a subject, as
// the key of its entry does: a UUID, or something too short to be a secret. All
// else is nobody's id.
func speakable(id string) bool { return endpoint.IsID(id) || len(id) <= mostPlain }

// whereabouts returns the key that an endpoint's id leads to, or has led to.
func (s *Store) whereabouts(ctx context.Context, tenant, id string) (key string, ok bool) {
	if key, ok = s.catalogue.find(tenant, id); ok {
		return key, true
	}
	if !speakable(id) {
		return "", false
	}
	raw, err := s.getDirect(ctx, subject.KeyIndex(tenant, subject.NounEndpoint, id))
	if err != nil || raw.gone() {
		return "", false
	}
	key, err = target(raw, tenant, subject.NounEndpoint)
	return key, err == nil
}

// CountEndpoints is how many endpoints a tenant has.
func (s *Store) CountEndpoints(ctx context.Context, tenant string) (int, error) {
	return s.count(ctx, tenant, subject.NounEndpoint)
}

// CreateAgent stores a new agent, as CreateEndpoint does an endpoint.
func (s *Store) CreateAgent(ctx context.Context, a endpoint.Agent, terms endpoint.Terms) (endpoint.Revision, error) {
	it, err := agentItem(&a)
	if err == nil {
		err = s.hookedAgent(ctx, &a)
	}
	if err == nil {
		err = s.newAgents(ctx, a)
	}
	if err != nil {
		return 0, err
	}
	return s.create(ctx, it, s.cfg.MaxAgents, endpoint.Terms{Once: terms.Once}) // endpoints are counted
}

// UpdateAgent replaces the version at a.Revision, as UpdateEndpoint does.
func (s *Store) UpdateAgent(ctx context.Context, a endpoint.Agent) (endpoint.Revision, error) {
	it, err := agentItem(&a)
	if err == nil {
		err = s.hookedAgent(ctx, &a)
	}
	if err != nil {
		return 0, err
	}
	return s.replace(ctx, it, a.Revision)
}

// DeleteAgent removes the agent with a's tenant and id if it is at a.Revision
// (0: at any).
func (s *Store) DeleteAgent(ctx context.Context, a endpoint.Agent) error {
	_, err := s.remove(ctx, item{tenant: a.Tenant, noun: subject.NounAgent, id: a.ID, key: subject.KeyAgent(a.Tenant, a.ID)}, a.Revision)
	return err
}

// AgentByID reads an agent as the leader has it now.
func (s *Store) AgentByID(ctx context.Context, tenant, id string) (endpoint.Agent, error) {
	return current[endpoint.Agent](ctx, s, subject.KeyAgent(tenant, id))
}

// CountAgents is how many agents a tenant has.
func (s *Store) CountAgents(ctx context.Context, tenant string) (int, error) {
	return s.count(ctx, tenant, subject.NounAgent)
}

// current reads an object from the leader.
func current[T object](ctx context.Context, s *Store, key string) (T, error) {
	var none T
	raw, err := s.getLeader(ctx, key)
	if err != nil {
		return none, fmt.Errorf("read %s: %w", key, err)
	}
	e, err := decode[T](key, raw)
	if err != nil {
		return none, err
	}
	return of[T](e)
}

// locate returns the key of the endpoint with the id.
func (s *Store) locate(ctx context.Context, tenant, id string) (string, error) {
	return s.lookUp(ctx, tenant, subject.NounEndpoint, id)
}

// lookUp returns the key of the object with the id.
func (s *Store) lookUp(ctx context.Context, tenant string, noun subject.Noun, id string) (string, error) {
	if !speakable(id) {
		return "", fmt.Errorf("find %s: %w", noun, endpoint.ErrNotFound)
	}
	raw, err := s.getLeader(ctx, subject.KeyIndex(tenant, noun, id))
	if err != nil {
		return "", fmt.Errorf("find %s %s: %w", noun, id, err)
	}
	if raw.gone() {
		return "", fmt.Errorf("find %s %s: %w", noun, id, endpoint.ErrNotFound)
	}
	return target(raw, tenant, noun)
}

// target is the key of the object that an index entry stands for.
func target(raw stored, tenant string, noun subject.Noun) (string, error) {
	id := raw.key[strings.LastIndexByte(raw.key, '.')+1:]
	switch noun {
	case subject.NounAgent:
		return subject.KeyAgent(tenant, id), nil
	case subject.NounAccount:
		return subject.KeyAccount(id), nil
	case subject.NounApplication:
		return subject.KeyApplication(tenant, id), nil
	case subject.NounRegistration:
		return subject.KeyRegistration(tenant, id), nil
	case subject.NounThrottle:
		return subject.KeyThrottle(tenant, id), nil
	case subject.NounTrunk:
		return subject.KeyTrunk(tenant, id), nil
	case subject.NounWebhook:
		return subject.KeyWebhook(tenant, id), nil
	}
	var l indexLine
	if err := json.Unmarshal(raw.data, &l); err != nil || l.V != version {
		return "", fmt.Errorf("read %s: revision %d is no index entry of version %d", raw.key, raw.rev, version)
	}
	if noun == subject.NounKey {
		return subject.KeyAPIKey(l.Key), nil
	}
	return subject.KeyEndpoint(l.Key, l.Partition), nil
}

// newItem writes an object and its index entry, which says where the object is
// if its id does not.
func newItem(tenant string, noun subject.Noun, id, key string, index indexLine, v any) (item, error) {
	data, err := encode(v)
	if err != nil {
		return item{}, fmt.Errorf("write %s %s: %w", noun, id, err)
	}
	index.V = version
	line, err := json.Marshal(index)
	if err != nil {
		return item{}, fmt.Errorf("write %s %s: %w", noun, id, err)
	}
	return item{tenant: tenant, noun: noun, id: id, key: key, index: line, data: data}, nil
}

func endpointItem(ep *endpoint.Endpoint) (item, error) {
	addr, ok := ep.Address()
	if !ok {
		return item{}, fmt.Errorf("%w %s: kind %q lacks it", ErrAddress, ep.ID, ep.Kind)
	}
	ep.V = version
	it, err := newItem(ep.Tenant, subject.NounEndpoint, ep.ID, subject.KeyEndpoint(addr.Key(), addr.Partition()),
		indexLine{Partition: addr.Partition(), Key: addr.Key()}, ep)
	it.address, it.partition = addr.Key(), addr.Partition()
	it.names, it.register = ep, ep.Kind == endpoint.KindRegister
	return it, err
}

func agentItem(a *endpoint.Agent) (item, error) {
	a.V = version
	return newItem(a.Tenant, subject.NounAgent, a.ID, subject.KeyAgent(a.Tenant, a.ID), indexLine{}, a)
}

// encode writes an object as JSON in which <, > and & stand for themselves:
// owners' texts count for what they are against the size of an object.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
