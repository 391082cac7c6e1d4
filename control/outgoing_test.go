package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/control"
)

// A rack holds trunks, knows whose identities are whose, and takes the calls
// that are placed.
type rack struct {
	trunks kept[endpoint.Trunk]
	rev    endpoint.Revision
	owned  map[string]string // tenant by user
	full   *control.Error    // of every call

	mu   sync.Mutex
	once map[string]endpoint.Once
	jobs []actors.Job
	caps [][]actors.Cap
}

func (r *rack) CreateTrunk(_ context.Context, t endpoint.Trunk, _ endpoint.Terms) (endpoint.Revision, error) {
	r.rev++
	t.Revision = r.rev
	r.trunks.put(t.ID, t)
	return t.Revision, nil
}

func (r *rack) TrunkByID(_ context.Context, tenant, id string) (endpoint.Trunk, error) {
	t, err := r.trunks.get(id)
	if err == nil && t.Tenant != tenant {
		err = endpoint.ErrNotFound
	}
	return t, err
}

func (r *rack) UpdateTrunk(_ context.Context, t endpoint.Trunk) (endpoint.Revision, error) {
	if have, err := r.trunks.get(t.ID); err != nil || have.Revision != t.Revision {
		return 0, endpoint.ErrConflict
	}
	return r.CreateTrunk(context.Background(), t, endpoint.Terms{})
}

func (r *rack) DeleteTrunk(_ context.Context, t endpoint.Trunk) error { return r.trunks.drop(t.ID) }

func (r *rack) Trunks(context.Context, string, string, int) ([]endpoint.Trunk, string, error) {
	return r.trunks.page(func(t endpoint.Trunk) endpoint.Revision { return t.Revision })
}

func (r *rack) Owns(_ context.Context, tenant, label, user string) (bool, error) {
	return r.owned[user] == tenant || label != "" && r.owned[user+"@"+label] == tenant, nil
}

func (r *rack) Place(_ context.Context, job actors.Job, caps []actors.Cap) (string, error) {
	if r.full != nil {
		return "", r.full
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.jobs, r.caps = append(r.jobs, job), append(r.caps, caps)
	return "pb-1", nil
}

func (r *rack) Claim(job actors.Job, _ string, caps []actors.Cap) error {
	_, err := r.Place(context.Background(), job, caps)
	return err
}

func (r *rack) Remember(_ context.Context, tenant string, o endpoint.Once) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if have, ok := r.once[tenant+o.Key]; ok {
		if have.Body != o.Body {
			return endpoint.ErrReused
		}
		return &endpoint.Repeat{ID: have.ID}
	}
	if r.once == nil {
		r.once = map[string]endpoint.Once{}
	}
	r.once[tenant+o.Key] = o
	return nil
}

// newDesk returns the operations of a node that places calls, with an agent.
func newDesk(t *testing.T) (*control.Operations, *rack, *shelf) {
	t.Helper()
	ops, store := twoAccounts(t)
	r := &rack{owned: map[string]string{"15550100": "acme", "+15550100": "acme", "15550999": "initech", "desk@acme": "acme"}}
	ops.Dialler, ops.Trunks, ops.Identities = r, r, r
	ops.Host, ops.Domain = "sip.example.com", "sip.example.com"
	ops.Dialable = func(a netip.Addr) error {
		if a.IsPrivate() {
			return errors.New("private")
		}
		return nil
	}
	if _, err := ops.CreateAgent(t.Context(), "acme", control.NewAgent{ID: exampleAgent, Spec: json.RawMessage(`{"name":"Bot","webrtc":{"connector":"nats"}}`)}); err != nil {
		t.Fatal(err)
	}
	acct := store.accounts["acme"]
	acct.SIP.DomainIdentifier = "acme"
	store.accounts["acme"] = acct
	return ops, r, store
}

// trunkOf makes a trunk of acme.
func trunkOf(t *testing.T, ops *control.Operations, spec string) control.TrunkView {
	t.Helper()
	v, err := ops.CreateTrunk(t.Context(), "acme", control.NewTrunk{Spec: json.RawMessage(spec)})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wrongIn are the fields and codes of a refusal.
func wrongIn(err error) string {
	var e *control.Error
	if !errors.As(err, &e) {
		return fmt.Sprint(err)
	}
	var all []string
	for _, p := range e.Problems {
		all = append(all, p.Field+" "+p.Code)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func TestACallToAURIIsPlacedWithWhatItNames(t *testing.T) {
	t.Parallel()
	ops, r, _ := newDesk(t)
	v, err := ops.CreateCall(t.Context(), "acme", control.NewCall{AgentID: exampleAgent, To: "sip:bob@pbx.example.net:5070;transport=tcp", From: "+15550100",
		Username: "u", Password: "hush-hush", Headers: []call.Header{{Name: "X-Order", Value: "7"}}, Metadata: json.RawMessage(`{"k":"v"}`), EarlyMedia: true})
	if err != nil {
		t.Fatal(err)
	}
	job := r.jobs[0]
	d := job.Dial
	if v.ID != d.ID || v.State != "calling" || v.Direction != "outbound" || v.Node != "pb-1" || v.To.User != "bob" || v.Metadata != `{"k":"v"}` {
		t.Errorf("view %+v", v)
	}
	if d.To != "sip:bob@pbx.example.net:5070;transport=tcp" || d.From != "sip:+15550100@pbx.example.net:5070" || len(d.Hops) != 0 || d.RingTimeoutMs != control.DefaultRingMs || !d.EarlyMedia {
		t.Errorf("dial %+v", d)
	}
	if strings.Contains(string(d.Password), "hush-hush") || d.Password == "" || job.Agent.ID != exampleAgent || job.Key.CallID != v.ID.String() || job.Endpoint != "" {
		t.Errorf("job %+v", job)
	}
}

func TestAllMistakesOfACallAreToldAtOnce(t *testing.T) {
	t.Parallel()
	ops, r, _ := newDesk(t)
	many := slices.Repeat([]call.Header{{Name: "X-A", Value: "1"}}, endpoint.MaxOutgoingHeaders+1)
	for name, tc := range map[string]struct {
		in   control.NewCall
		want string
	}{
		"nothing":          {control.NewCall{}, "agent_id required, to required"},
		"unknown objects":  {control.NewCall{AgentID: "b07a9d3e-52c4-4e0b-8f61-0c9d7a3e1f23", Trunk: "b07a9d3e-52c4-4e0b-8f61-0c9d7a3e1f24", To: "+15550199"}, "agent_id unknown, trunk unknown"},
		"a number":         {control.NewCall{AgentID: exampleAgent, To: "+15550199"}, "to invalid"},
		"injection":        {control.NewCall{AgentID: exampleAgent, To: "sip:a@b.example\r\nX: y", From: "sip:a@b.example>\r\n"}, "from invalid, to invalid"},
		"a private host":   {control.NewCall{AgentID: exampleAgent, To: "sip:a@10.0.0.1"}, "to invalid"},
		"header of ours":   {control.NewCall{AgentID: exampleAgent, To: "sip:a@b.example", Headers: []call.Header{{Name: "Contact", Value: "<sip:x@y>"}, {Name: "X-A", Value: "a\r\nVia: b"}}}, "headers[0] invalid, headers[1] invalid"},
		"identity headers": {control.NewCall{AgentID: exampleAgent, To: "sip:a@b.example", Headers: []call.Header{{Name: "P-Asserted-Identity", Value: "x"}}}, "headers[0] invalid"},
		"many headers":     {control.NewCall{AgentID: exampleAgent, To: "sip:a@b.example", Headers: many}, "headers too_many"},
		"times":            {control.NewCall{AgentID: exampleAgent, To: "sip:a@b.example", MaxDurationMs: 1, RingTimeoutMs: 1}, "max_duration_ms out_of_range, ring_timeout_ms out_of_range"},
		"documents":        {control.NewCall{AgentID: exampleAgent, To: "sip:a@b.example", Context: json.RawMessage(`"x"`), Metadata: json.RawMessage(`[1]`)}, "context invalid, metadata invalid"},
		"a login":          {control.NewCall{AgentID: exampleAgent, To: "sip:a@b.example", Password: "p\n"}, "password invalid, username required"},
		"a caller":         {control.NewCall{AgentID: exampleAgent, To: "sip:a@b.example", From: "+15550999"}, "from not_owned"},
	} {
		if _, err := ops.CreateCall(t.Context(), "acme", tc.in); wrongIn(err) != tc.want {
			t.Errorf("%s: %s, want %s", name, wrongIn(err), tc.want)
		}
	}
	if len(r.jobs) != 0 {
		t.Errorf("%d calls were placed", len(r.jobs))
	}
}

func TestACallIsPlacedAsItsOwnAccountOnly(t *testing.T) {
	t.Parallel()
	ops, r, store := newDesk(t)
	plain := trunkOf(t, ops, `{"addresses":[{"host":"sbc.example.net"}],"from":{"identities":["15550777","front-desk"]}}`)
	login := trunkOf(t, ops, `{"addresses":[{"host":"sbc.example.net"}],"username":"acme-7","password":"p","from":{"default":"15550777","host":"id.example.org"}}`)
	loose := trunkOf(t, ops, `{"addresses":[{"host":"sbc.example.net"}],"from":{"policy":"any"}}`)
	const denied = "from not_owned"
	for _, tc := range []struct{ from, trunk, username, want string }{
		{"", "", "", ""},
		{"+15550100", "", "", "sip:+15550100@acme.sip.example.com"},
		{"sip:15550100@acme.sip.example.com", "", "", "sip:15550100@acme.sip.example.com"},
		{"sip:desk@acme.sip.example.com", "", "", "sip:desk@acme.sip.example.com"},
		{"sip:boss@acme.sip.example.com", "", "", denied},
		{"sip:desk@initech.sip.example.com", "", "", denied},
		{"sip:15550100@bank.example", "", "", denied},
		{"15550999", "", "", denied},
		{"sip:u@b.example", "", "u", "sip:u@b.example"},
		{"sip:u@other.example", "", "u", denied},
		{"sip:v@b.example", "", "u", denied},
		{"", "", "u", "sip:u@b.example"},
		{"15550777", plain.ID, "", "sip:15550777@acme.sip.example.com"},
		{"+1-555-0777", plain.ID, "", "sip:+15550777@acme.sip.example.com"},
		{"sip:front-desk@acme.sip.example.com", plain.ID, "", "sip:front-desk@acme.sip.example.com"},
		{"15550778", plain.ID, "", denied},
		{"", plain.ID, "", ""},
		{"", login.ID, "", "sip:15550777@id.example.org"},
		{"sip:acme-7@sbc.example.net", login.ID, "", "sip:acme-7@sbc.example.net"},
		{"sip:acme-7@bank.example", login.ID, "", denied},
		{"sip:anybody@bank.example", loose.ID, "", "sip:anybody@bank.example"},
	} {
		in := control.NewCall{AgentID: exampleAgent, To: "sip:a@b.example", From: tc.from, Trunk: tc.trunk, Username: tc.username}
		before := len(r.jobs)
		_, err := ops.CreateCall(t.Context(), "acme", in)
		got := ""
		if err != nil {
			got = wrongIn(err)
		} else if len(r.jobs) > before {
			got = r.jobs[before].Dial.From
		}
		if got != tc.want {
			t.Errorf("from %q, user %q: %q, want %q", tc.from, tc.username, got, tc.want)
		}
	}
	acct := store.accounts["acme"]
	acct.SIP.OutgoingFrom = endpoint.FromAny
	store.accounts["acme"] = acct
	if _, err := ops.CreateCall(t.Context(), "acme", control.NewCall{AgentID: exampleAgent, To: "sip:a@b.example", From: "sip:x@bank.example"}); err != nil {
		t.Errorf("an account that may call as anybody: %v", err)
	}
}

func TestOnlyTheOperatorLetsAnAccountCallAsAnybody(t *testing.T) {
	t.Parallel()
	ops, _, _ := newDesk(t)
	patch := control.Request{Noun: "account", Verb: "update", Body: []byte(`{"patch":{"sip":{"outgoing_from":"any"}}}`)}
	_, err := ops.Do(t.Context(), control.Credential{Tenant: "acme", Scopes: []string{"*"}}, patch)
	var e *control.Error
	if !errors.As(err, &e) || e.Code != control.CodeForbidden {
		t.Errorf("its owner: %v", err)
	}
	patch.Body = []byte(`{"tenant":"acme","patch":{"sip":{"outgoing_from":"any"}}}`)
	if _, err = ops.Do(t.Context(), control.Credential{Tenant: endpoint.OperatorTenant, Scopes: []string{"*"}}, patch); err != nil {
		t.Errorf("the operator: %v", err)
	}
}

func TestACallThroughATrunkHasItsAddressesAndCredentials(t *testing.T) {
	t.Parallel()
	ops, r, store := newDesk(t)
	trunk := trunkOf(t, ops, `{"domain":"carrier.example","addresses":[{"host":"b.example","priority":2,"transport":"tls","port":5071},{"host":"192.0.2.7","priority":1}],
		"username":"acme-7","password":"hush-hush","realm":"carrier","headers":{"X-Plan":"gold","X-Order":"0"},"max_concurrent_calls":3,"from":{"default":"15550777"}}`)
	acct := store.accounts["acme"]
	acct.Projects = []endpoint.Project{{ID: "p1", Limits: endpoint.Limits{MaxConcurrentCalls: 9, CPS: 2}}}
	store.accounts["acme"] = acct
	if _, err := ops.CreateCall(t.Context(), "acme", control.NewCall{AgentID: exampleAgent, To: "+1 (555) 0199", Trunk: trunk.ID, Headers: []call.Header{{Name: "x-order", Value: "7"}}}); err != nil {
		t.Fatal(err)
	}
	d := r.jobs[0].Dial
	if d.To != "sip:+15550199@carrier.example" || !slices.Equal(d.Hops, []string{"sip:+15550199@192.0.2.7", "sip:+15550199@b.example:5071;transport=tls"}) {
		t.Errorf("to %s by %v", d.To, d.Hops)
	}
	if d.Username != "acme-7" || d.Password == "" || d.Realm != "carrier" || !slices.Equal(d.Headers, []call.Header{{Name: "x-order", Value: "7"}, {Name: "X-Plan", Value: "gold"}}) {
		t.Errorf("dial %+v", d)
	}
	want := []actors.Cap{{What: "account", Key: endpoint.ProjectKey("acme", "p1"), Calls: 9, PerSecond: 2}, {What: "trunk", Key: endpoint.TrunkKey("acme", trunk.ID), Calls: 3}}
	if !slices.Equal(r.caps[0], want) || r.jobs[0].Endpoint != endpoint.TrunkKey("acme", trunk.ID) || r.jobs[0].Project != endpoint.ProjectKey("acme", "p1") {
		t.Errorf("caps %+v, job %+v", r.caps[0], r.jobs[0])
	}
	if _, err := ops.CreateCall(t.Context(), "acme", control.NewCall{AgentID: exampleAgent, To: "15550199", Trunk: trunk.ID, Username: "other", Password: "own"}); err != nil || r.jobs[1].Dial.Username != "other" || r.jobs[1].Dial.Realm != "" {
		t.Errorf("credentials of its own: %+v, %v", r.jobs[1].Dial, err)
	}
}

func TestACallIsPlacedOnceUnderAnIdempotencyKey(t *testing.T) {
	t.Parallel()
	ops, r, _ := newDesk(t)
	cred := control.Credential{Tenant: "acme", Scopes: []string{endpoint.ScopeCallsManage}}
	req := control.Request{Noun: "call", Verb: "create", IdempotencyKey: "one", Body: []byte(`{"agent_id":"` + exampleAgent + `","to":"sip:a@b.example"}`)}
	first, err := ops.Do(t.Context(), cred, req)
	if err != nil {
		t.Fatal(err)
	}
	second, err := ops.Do(t.Context(), cred, req)
	if err != nil || first.(control.CallView).ID != second.(control.CallView).ID {
		t.Errorf("twice: %+v, %v", second, err)
	}
	// Neither live nor recorded: the media node is asked again, under the same key.
	if len(r.jobs) != 2 || r.jobs[0].Key != r.jobs[1].Key {
		t.Errorf("jobs %+v", r.jobs)
	}
	req.Body = []byte(`{"agent_id":"` + exampleAgent + `","to":"sip:other@b.example"}`)
	var e *control.Error
	if _, err = ops.Do(t.Context(), cred, req); !errors.As(err, &e) && !errors.Is(err, endpoint.ErrReused) {
		t.Errorf("another request under the key: %v", err)
	}
}

func TestTrunksAreCheckedWhole(t *testing.T) {
	t.Parallel()
	ops, _, _ := newDesk(t)
	for spec, want := range map[string]string{
		`{"name":""}`: "addresses required, name required",
		`{"addresses":[{"host":"10.1.2.3"},{"host":"UPPER"},{"host":"a.example","port":70000,"transport":"ws"}],"from":{"policy":"some","identities":["a b"]},"headers":{"Via":"x"},"max_concurrent_calls":0}`: "addresses[0].host invalid, addresses[1].host invalid, addresses[2].port out_of_range, addresses[2].transport invalid, from.identities[0] invalid, from.policy invalid, headers.Via invalid, max_concurrent_calls out_of_range",
		`{"addresses":[{"host":"a.example"}],"password":"x"}`: "username required",
	} {
		if _, err := ops.CreateTrunk(t.Context(), "acme", control.NewTrunk{Spec: json.RawMessage(spec)}); wrongIn(err) != want {
			t.Errorf("%s:\n%s\nwant %s", spec, wrongIn(err), want)
		}
	}
	v := trunkOf(t, ops, `{"addresses":[{"host":"a.example"}],"username":"u","password":"hush"}`)
	got, err := ops.UpdateTrunk(t.Context(), "acme", control.Change{ID: v.ID, Revision: v.Revision, Patch: json.RawMessage(`{"is_active":false}`)})
	if err != nil || got.IsActive || !got.PasswordSet || got.Password != "" {
		t.Errorf("updated: %+v, %v", got, err)
	}
	if _, err := ops.UpdateTrunk(t.Context(), "acme", control.Change{ID: v.ID, Revision: v.Revision, Patch: json.RawMessage(`{}`)}); !errors.Is(err, endpoint.ErrConflict) {
		t.Errorf("stale: %v", err)
	}
	if _, err := ops.CreateCall(t.Context(), "acme", control.NewCall{AgentID: exampleAgent, To: "15550199", Trunk: v.ID}); wrongIn(err) != "trunk invalid" {
		t.Errorf("a trunk that is not active: %v", err)
	}
	if _, err := ops.GetTrunk(t.Context(), "initech", control.ID{ID: v.ID}); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("another's trunk: %v", err)
	}
}

func TestATrunksAddressesAreTriedByPriorityAndWeight(t *testing.T) {
	t.Parallel()
	trunk := endpoint.Trunk{Addresses: []endpoint.TrunkAddress{{Host: "last", Priority: 9}, {Host: "light", Priority: 1, Weight: 1}, {Host: "heavy", Priority: 1, Weight: 9}}}
	first := map[string]int{}
	for seed := range uint64(2000) {
		order := trunk.Order(seed * 0x9e3779b97f4a7c15)
		if order[2].Host != "last" || len(order) != 3 {
			t.Fatalf("order %+v", order)
		}
		first[order[0].Host]++
	}
	if first["light"] < 100 || first["light"] > 320 {
		t.Errorf("the light one is first in %d of 2000, want about 200", first["light"])
	}
	if trunk.Addresses[0].Host != "last" {
		t.Error("the trunk itself was reordered")
	}
}

// outgoing shows calls that are placed, and trunks.
func (a *api) outgoing() {
	a.t.Helper()
	const trunk = "5f0c8a5e-7a3c-4d57-9b1e-2c4a6d8e0f11"
	a.show("trunk.create", `{"id":"`+trunk+`","spec":{"name":"Carrier","addresses":[{"host":"sbc1.carrier.example.net","transport":"tls","priority":1},`+
		`{"host":"sbc2.carrier.example.net","transport":"tls","priority":2}],"username":"acme-7","password":"hush-hush",`+
		`"from":{"identities":["+15551230100"],"default":"+15551230100"},"max_concurrent_calls":20}}`)
	a.show("trunk.get", `{"id":"`+trunk+`"}`)
	a.show("trunk.list", `{"limit":50}`)
	a.show("trunk.update", `{"id":"`+trunk+`","patch":{"max_concurrent_calls":40,"max_calls_per_second":5}}`)
	create := `{"agent_id":"` + exampleAgent + `","to":"+15551230199","trunk":"` + trunk + `","ring_timeout_ms":30000,` +
		`"headers":[{"name":"X-Order","value":"4711"}],"context":{"order":"4711"},"metadata":{"campaign":"renewal"}}`
	m := a.do("call.create", create)
	var made control.CallView
	if err := json.Unmarshal(m.Data, &made); err != nil || made.ID == 0 {
		a.t.Fatalf("call.create: %v: %s", err, m.Data)
	}
	a.hide(made.ID.String(), call.ID(0x9a51c06f3be2d705).String())
	a.asked["call.create"] = true
	a.compare("call.create.request", []byte(create))
	a.compare("call.create.reply", m.Data)
	a.refused("error.call", "call.create", `{"agent_id":"`+exampleAgent+`","to":"+15551230199","from":"+15550000000","headers":[{"name":"Contact","value":"x"}]}`, control.CodeInvalid)
	a.show("trunk.delete", `{"id":"`+trunk+`"}`)
}
