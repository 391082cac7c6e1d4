package yappr

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

// Limits of what a body may ask for.
const (
	maxSources   = 50 // lines of allowed_source_ips
	maxTrunk     = 8  // calls at once of an endpoint with a password
	defaultTrunk = 2
	rereads      = 3 // times that a change is tried again that met another
)

// Fields of a body, by the kind of endpoint.
var (
	createSlug        = []string{"name", "inbound_agent_id", "slug", "allowed_source_ips", "auth_mode"}
	createCredentials = []string{"name", "inbound_agent_id", "auth_mode", "max_concurrent_calls", "allowed_source_ips"}
	patchSlug         = []string{"name", "inbound_agent_id", "is_active", "allowed_source_ips"}
	patchTrunk        = append(slices.Clone(patchSlug), "max_concurrent_calls")
)

// create makes an endpoint: with a slug of its own, or with a username and a
// password.
func (f *face) create(r request) (reply, error) {
	if err := noQuery(r); err != nil {
		return reply{}, err
	}
	form, err := readForm(r.Request)
	if err != nil {
		return reply{}, err
	}
	in, password, err := newEndpoint(form)
	if err != nil {
		return reply{}, err
	}
	op := operation("create")
	op.IdempotencyKey = r.Header.Get("Idempotency-Key")
	v, err := do[control.EndpointView](f, r.Context(), r.cred, op, in)
	if err != nil {
		return reply{}, f.notReady(r, err)
	}
	return f.one(http.StatusCreated, v, password), nil
}

// newEndpoint reads what a body asks to be made.
func newEndpoint(form *form) (in control.NewEndpoint, password string, err error) {
	in = control.NewEndpoint{Kind: endpoint.KindSlug, Origin: endpoint.KindOfYappr}
	read := createSlug
	if form.has("auth_mode") {
		switch form.text("auth_mode") {
		case modeCredentials:
			in.Kind, read = endpoint.KindCredential, createCredentials
		case modeRegister:
			return in, "", refuse(http.StatusForbidden, codeRegister, "registering at a PBX is not enabled here")
		default:
			form.fail("auth_mode", "want credentials, register, or none for an endpoint with a slug")
		}
	}
	if err := form.only(read...); err != nil {
		return in, "", err
	}
	spec := patch{}
	name := form.name(spec, true)
	if in.AgentID = form.agent(); in.Kind == endpoint.KindSlug {
		in.SlugPrefix = form.prefix(name)
	} else {
		in.User, password = newUsername(), newPassword()
		spec["auth"] = control.AuthSpec{Mode: endpoint.AuthDigest, Password: password}
		spec["max_concurrent_calls"] = form.trunkCalls()
	}
	form.sources(spec, control.IPSpec{Mode: endpoint.IPAny})
	if err := form.failed(); err != nil {
		return in, "", err
	}
	in.Spec, err = json.Marshal(spec)
	return in, password, err
}

// A patch is a merge patch of a control.EndpointSpec.
type patch map[string]any

// name reads the endpoint's name, which a body must have if it is needed.
func (f *form) name(into patch, needed bool) string {
	if !f.has("name") {
		if needed {
			f.fail("name", "this field is required")
		}
		return ""
	}
	name := f.text("name")
	switch {
	case strings.TrimSpace(name) == "":
		f.fail("name", "want 1 to 200 bytes")
	case len(name) > endpoint.MaxName:
		f.fail("name", fmt.Sprintf("%d bytes, want 1 to %d", len(name), endpoint.MaxName))
	}
	into["name"] = name
	return name
}

// agent reads the agent that answers.
func (f *form) agent() string {
	if !f.has("inbound_agent_id") {
		f.fail("inbound_agent_id", "this field is required")
		return ""
	}
	id := strings.ToLower(f.text("inbound_agent_id"))
	if !isUUID(id) {
		f.fail("inbound_agent_id", "want a UUID")
	}
	return id
}

// prefix reads the slug that is asked for, or makes one of the name.
func (f *form) prefix(name string) string {
	if !f.has("slug") || f.isNull("slug") {
		return derivedPrefix(name)
	}
	prefix, bad := chosenPrefix(f.text("slug"))
	if bad != nil && f.bad == nil {
		f.bad = bad
	}
	return prefix
}

// trunkCalls reads how many calls at once an endpoint with a password may have.
func (f *form) trunkCalls() int {
	if !f.has("max_concurrent_calls") {
		return defaultTrunk
	}
	n := read[int](f, "max_concurrent_calls", fmt.Sprintf("a whole number from 1 to %d", maxTrunk))
	if n < 1 || n > maxTrunk {
		f.fail("max_concurrent_calls", fmt.Sprintf("want a whole number from 1 to %d", maxTrunk))
	}
	return n
}

// sources reads the allowlist and writes it over the one that is there: null is
// any source. Lines that stay keep what other APIs know of them, and so do lines
// that are switched off, which Yappr does not show.
func (f *form) sources(into patch, before control.IPSpec) {
	if !f.has("allowed_source_ips") {
		return
	}
	if f.isNull("allowed_source_ips") {
		into["ip"] = patch{"mode": endpoint.IPAny, "entries": nil}
		return
	}
	list := read[[]string](f, "allowed_source_ips", "null or a list of addresses and CIDR ranges")
	switch {
	case f.bad != nil:
		return
	case len(list) == 0:
		f.fail("allowed_source_ips", "must be null or non-empty: null is any source, and an endpoint without sources is one with is_active false")
	case len(list) > maxSources:
		f.fail("allowed_source_ips", fmt.Sprintf("%d entries, want at most %d", len(list), maxSources))
	}
	into["ip"] = patch{"mode": endpoint.IPList, "entries": entriesOf(list, before.Entries)}
}

func entriesOf(list []string, before []control.IPEntrySpec) []control.IPEntrySpec {
	before = slices.Clone(before)
	after := make([]control.IPEntrySpec, len(list))
	for i, raw := range list {
		after[i] = control.IPEntrySpec{Raw: raw}
		known := func(e control.IPEntrySpec) bool { return e.Raw == raw && !e.Disabled }
		if at := slices.IndexFunc(before, known); at >= 0 {
			after[i] = before[at]
			before = slices.Delete(before, at, at+1)
		}
	}
	for _, e := range before {
		if e.Disabled {
			after = append(after, e)
		}
	}
	return after
}

// patch changes what a body names. What is there already is not written again,
// whatever its value: it may be one that this API does not offer.
func (f *face) patch(r request) (reply, error) {
	if err := noQuery(r); err != nil {
		return reply{}, err
	}
	form, err := readForm(r.Request)
	if err != nil {
		return reply{}, err
	}
	for try := 0; ; try++ {
		v, err := f.find(r)
		if err != nil {
			return reply{}, err
		}
		change, err := f.changes(form, v)
		if err != nil {
			return reply{}, err
		}
		if len(change) == 0 {
			return f.one(http.StatusOK, v, ""), nil
		}
		out, err := f.update(r, v, change)
		if try < rereads && f.conflicts(r, err) {
			continue // another change came between: look again
		}
		if err != nil {
			return reply{}, err
		}
		out.LastCallAt = v.LastCallAt
		return f.one(http.StatusOK, out, ""), nil
	}
}

func (f *face) update(r request, v control.EndpointView, change patch) (control.EndpointView, error) {
	raw, err := json.Marshal(change)
	if err != nil {
		return v, err
	}
	return do[control.EndpointView](f, r.Context(), r.cred, operation("update"), control.Change{ID: v.ID, Revision: v.Revision, Patch: raw})
}

// conflicts reports that an object changed since it was read.
func (f *face) conflicts(r request, err error) bool {
	return err != nil && f.kit.Told(r.Context(), err).Code == control.CodeConflict
}

// changes reads a body and returns what it changes of an endpoint.
func (f *face) changes(all *form, v control.EndpointView) (patch, error) {
	read := patchSlug
	if v.Kind != endpoint.KindSlug {
		read = patchTrunk
	}
	switch {
	case len(all.fields) == 0:
		return nil, refuse(http.StatusBadRequest, codeRequest, "want at least one of "+strings.Join(read, ", "))
	case all.has("slug") && v.Kind == endpoint.KindSlug:
		return nil, wrong("slug", "never changes; create another endpoint, use its address, then delete this one")
	case all.has("register"):
		return nil, refuse(http.StatusForbidden, codeRegister, "registering at a PBX is not enabled here")
	}
	if err := all.only(read...); err != nil {
		return nil, err
	}
	form, err := all.without(f.viewOf(v))
	if err != nil {
		return nil, err
	}
	change := patch{}
	form.name(change, false)
	if form.has("inbound_agent_id") {
		change["handler"] = patch{"active": endpoint.HandlerAgent, "agent_id": form.agent()}
	}
	if form.has("is_active") {
		change["is_active"] = form.flag("is_active")
	}
	if form.has("max_concurrent_calls") {
		change["max_concurrent_calls"] = form.trunkCalls()
	}
	form.sources(change, v.IP)
	return change, form.failed()
}

// without returns the fields that differ from what is shown now.
func (f *form) without(now view) (*form, error) {
	text, err := json.Marshal(now)
	if err != nil {
		return nil, err
	}
	var have map[string]json.RawMessage
	if err := json.Unmarshal(text, &have); err != nil {
		return nil, err
	}
	left := &form{fields: map[string]json.RawMessage{}}
	for name, value := range f.fields {
		if !same(value, have[name]) {
			left.fields[name] = value
		}
	}
	return left, nil
}

// same reports that two JSON texts say the same.
func same(a, b json.RawMessage) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	one, _ := json.Marshal(x)
	other, _ := json.Marshal(y)
	return bytes.Equal(one, other)
}

// rotate gives an endpoint another password, and shows it once. The one of
// before is good no more.
func (f *face) rotate(r request) (reply, error) {
	if err := noQuery(r); err != nil {
		return reply{}, err
	}
	v, err := f.find(r)
	if err != nil {
		return reply{}, err
	}
	if v.Kind != endpoint.KindCredential {
		return reply{}, refuse(http.StatusConflict, codeMode, "this endpoint has no password of ours")
	}
	password := newPassword()
	v.Revision = 0 // the password is new, whatever else changes meanwhile
	out, err := f.update(r, v, patch{"auth": control.AuthSpec{Mode: endpoint.AuthDigest, Username: v.Auth.Username, Password: password}})
	if err != nil {
		return reply{}, err
	}
	out.LastCallAt = v.LastCallAt
	return f.one(http.StatusOK, out, password), nil
}

// The form of what we make for a PBX to log in with: symbols that people do not
// confuse, 5 bits each.
const (
	usernameSymbols = 12
	passwordSymbols = 32
	symbols         = "abcdefghijkmnpqrstuvwxyz23456789"
)

func newUsername() string { return "trunk-" + random(usernameSymbols) }
func newPassword() string { return random(passwordSymbols) }

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	for i := range b {
		b[i] = symbols[b[i]%32]
	}
	return string(b)
}

// notReady says so in Yappr's words where an account has no domain that a PBX
// could log in at.
func (f *face) notReady(r request, err error) error {
	var p *problem
	if errors.As(err, &p) {
		return err
	}
	for _, p := range f.kit.Told(r.Context(), err).Problems {
		if p.Field == "domain" {
			return refuse(http.StatusForbidden, codeTrunks, "the account has no SIP domain yet: set sip.domain_label first")
		}
	}
	return err
}
