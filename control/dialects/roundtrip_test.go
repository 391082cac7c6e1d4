package dialects_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"patchbay/actors/endpoint"
	"patchbay/control"
	"patchbay/control/dialects/ultravox"
	"patchbay/control/dialects/yappr"
	"patchbay/internal/testkit/desk"
)

// cases is how many each property is tried with, unless -rapid.checks says it:
// every one is a few writes that are synced to disk.
const cases = "30"

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set(cases); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// A bed is an account whose objects several faces show.
type bed struct {
	*desk.Desk
	tenant, agent, other string
	yappr, ultravox      desk.Client
}

func newBed(t *testing.T) *bed {
	t.Helper()
	d := desk.New(t)
	b := &bed{Desk: d, tenant: d.Account(t, "acme")}
	b.agent, b.other = d.Agent(t, b.tenant), d.Agent(t, b.tenant)
	// As many requests and creations as a property wants.
	desk.Native[control.AccountView](t, d, b.tenant, "account", "update", control.AccountChange{
		Patch: json.RawMessage(`{"limits":{"api_per_minute":1000000,"endpoint_creates_per_day":1000000,"max_register_out":100000}}`)})
	b.yappr = desk.Client{Face: yappr.New(d.Kit, yappr.Settings{Transports: []string{"udp"}}),
		Headers: http.Header{"Authorization": {"Bearer " + d.Key(t, b.tenant, endpoint.KindOfYappr, endpoint.ScopeYapprRead, endpoint.ScopeYapprManage)}}}
	b.ultravox = desk.Client{Face: ultravox.New(d.Kit, nil),
		Headers: http.Header{"X-Api-Key": {d.Key(t, b.tenant, endpoint.KindOfUltravox, endpoint.ScopeAll)}}}
	return b
}

// native returns an endpoint as the native API shows it, without what every
// write moves.
func (b *bed) native(t *testing.T, id string) map[string]any {
	t.Helper()
	v := desk.Native[control.EndpointView](t, b.Desk, b.tenant, "endpoint", "get", control.ID{ID: id})
	return plain(t, v, "revision", "updated_at")
}

// plain returns a value as JSON has it, without some fields.
func plain(t *testing.T, v any, without ...string) map[string]any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	for _, field := range without {
		delete(out, field)
	}
	return out
}

// ask asks Yappr's face for what must succeed, and returns its data.
func (b *bed) ask(t rapid.TB, tt *testing.T, method, path string, body any) map[string]any {
	text := ""
	if body != nil {
		raw, _ := json.Marshal(body)
		text = string(raw)
	}
	w := b.yappr.Ask(tt, method, path, text)
	var out struct{ Data map[string]any }
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code/100 != 2 {
		t.Fatalf("%s %s %s: %d %s", method, path, text, w.Code, w.Body)
	}
	return out.Data
}

// writable are the fields that Yappr's clients may write of what they read.
func writable(read map[string]any) map[string]any {
	out := map[string]any{}
	for _, field := range []string{"name", "inbound_agent_id", "is_active", "allowed_source_ips"} {
		out[field] = read[field]
	}
	if calls, there := read["max_concurrent_calls"]; there {
		out["max_concurrent_calls"] = calls
	}
	return out
}

// differ returns the fields in which two objects are not the same.
func differ(a, b map[string]any, except ...string) []string {
	var out []string
	all := map[string]bool{}
	for field := range a {
		all[field] = true
	}
	for field := range b {
		all[field] = true
	}
	for _, field := range except {
		delete(all, field)
	}
	for field := range all {
		if !reflect.DeepEqual(a[field], b[field]) {
			out = append(out, fmt.Sprintf("%s: %v, was %v", field, b[field], a[field]))
		}
	}
	return out
}

// TestWhatYapprWritesBackUnchangedStays makes endpoints of every kind that Yappr
// has by the native API, with any of their fields, writes back by Yappr's what it
// shows of them, and finds them as they were: in the native API, which shows all.
// Then it changes what Yappr can: nothing else changes.
func TestWhatYapprWritesBackUnchangedStays(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	for _, kind := range []endpoint.Kind{endpoint.KindSlug, endpoint.KindCredential, endpoint.KindRegister} {
		t.Run(string(kind), func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				id := desk.Native[control.EndpointView](t, b.Desk, b.tenant, "endpoint", "create", endpoints(kind, b.agent).Draw(rt, "endpoint")).ID
				before, path := b.native(t, id), "/sip-endpoints/"+id
				read := b.ask(rt, t, "GET", path, nil)
				b.ask(rt, t, "PATCH", path, writable(read))
				if lost := differ(before, b.native(t, id)); len(lost) > 0 {
					rt.Fatalf("written back unchanged: %q", lost)
				}
				if again := b.ask(rt, t, "GET", path, nil); len(differ(read, again, "updated_at")) > 0 {
					rt.Fatalf("reads %v, then %v", read, again)
				}
				b.ask(rt, t, "PATCH", path, map[string]any{"name": "renamed", "is_active": !read["is_active"].(bool)})
				after := b.native(t, id)
				if lost := differ(before, after, "name", "is_active"); len(lost) > 0 || after["name"] != "renamed" || after["is_active"] == before["is_active"] {
					rt.Fatalf("renamed and switched: %q", lost)
				}
				b.ask(rt, t, "PATCH", path, map[string]any{"inbound_agent_id": b.other})
				handler, was := b.native(t, id)["handler"].(map[string]any), before["handler"].(map[string]any)
				if lost := differ(was, handler, "active", "agent_id"); len(lost) > 0 || handler["agent_id"] != b.other || handler["active"] != "agent" {
					rt.Fatalf("given to another agent: %q, now %v", lost, handler)
				}
			})
		})
	}
}

// TestAnAllowlistThatYapprEditsKeepsWhatItsLinesAreCalled adds and removes lines:
// those that stay keep names and descriptions, and those that are switched off,
// which Yappr does not show, stay.
func TestAnAllowlistThatYapprEditsKeepsWhatItsLinesAreCalled(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	rapid.Check(t, func(rt *rapid.T) {
		list := allowlists.Draw(rt, "allowlist")
		list["mode"] = "list"
		id := desk.Native[control.EndpointView](t, b.Desk, b.tenant, "endpoint", "create",
			control.NewEndpoint{AgentID: b.agent, Spec: spec{"name": "x", "ip": list}.raw()}).ID
		before := b.ip(t, id)
		read, _ := b.ask(rt, t, "GET", "/sip-endpoints/"+id, nil)["allowed_source_ips"].([]any)
		keep := rapid.IntRange(0, len(read)).Draw(rt, "kept")
		var wanted []any
		wanted = append(append(wanted, read[:keep]...), "192.0.2.1")
		got := b.ask(rt, t, "PATCH", "/sip-endpoints/"+id, map[string]any{"allowed_source_ips": wanted})["allowed_source_ips"]
		if !reflect.DeepEqual(got, wanted) {
			rt.Fatalf("wrote %v, reads %v", wanted, got)
		}
		var want []control.IPEntrySpec
		var off []control.IPEntrySpec
		for _, e := range before.Entries {
			switch {
			case e.Disabled:
				off = append(off, e)
			case len(want) < keep:
				want = append(want, e)
			}
		}
		want = append(append(want, control.IPEntrySpec{Raw: "192.0.2.1"}), off...)
		if after := b.ip(t, id); after.Mode != endpoint.IPList || !reflect.DeepEqual(after.Entries, want) {
			rt.Fatalf("had %+v, wrote %v, has %+v", before.Entries, wanted, after.Entries)
		}
	})
}

func (b *bed) ip(t *testing.T, id string) control.IPSpec {
	t.Helper()
	return desk.Native[control.EndpointView](t, b.Desk, b.tenant, "endpoint", "get", control.ID{ID: id}).IP
}

// TestWhatYapprMakesComesThroughTheNativeAPI makes endpoints by Yappr's API, reads
// them by the native one, writes back all that it shows, and finds them as they
// were.
func TestWhatYapprMakesComesThroughTheNativeAPI(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	rapid.Check(t, func(rt *rapid.T) {
		body := map[string]any{"name": names.Draw(rt, "name"), "inbound_agent_id": b.agent}
		if trunk := rapid.Bool().Draw(rt, "trunk"); trunk {
			body["auth_mode"], body["max_concurrent_calls"] = "credentials", rapid.IntRange(1, 8).Draw(rt, "calls")
		} else if rapid.Bool().Draw(rt, "has slug") {
			body["slug"] = rapid.StringMatching(`[b-z][0-9]{1,10}`).Draw(rt, "slug")
		}
		if rapid.Bool().Draw(rt, "has sources") {
			body["allowed_source_ips"] = rapid.SliceOfN(sources, 1, 5).Draw(rt, "sources")
		}
		made := b.ask(rt, t, "POST", "/sip-endpoints", body)
		delete(made, "sip_password") // shown once
		path := "/sip-endpoints/" + made["id"].(string)
		native := b.native(t, made["id"].(string))
		if native["origin"] != "yappr" {
			rt.Fatalf("origin %v", native["origin"])
		}
		back := spec{}
		for field := range plain(t, control.EndpointSpec{}) {
			back[field] = native[field]
		}
		for _, optional := range []string{"max_concurrent_calls", "compat", "ip"} {
			if value, there := native[optional]; there {
				back[optional] = value
			}
		}
		desk.Native[control.EndpointView](t, b.Desk, b.tenant, "endpoint", "update", control.Change{ID: made["id"].(string), Patch: back.raw()})
		if lost := differ(made, b.ask(rt, t, "GET", path, nil), "updated_at"); len(lost) > 0 {
			rt.Fatalf("written back unchanged: %q", lost)
		}
		if lost := differ(native, b.native(t, made["id"].(string))); len(lost) > 0 {
			rt.Fatalf("the native view: %q", lost)
		}
	})
}
