package rig

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/cluster/permit"
	"patchbay/control"
	"patchbay/internal/keys"
)

// Tenant is the account that a node's first start makes.
const Tenant = "default"

// controlLimit is the longest wait for one control operation.
const controlLimit = 30 * time.Second

// Connect returns a connection to the node's broker, of an operator where
// brokers ask who it is. It ends with the test.
func (n *Node) Connect(t testing.TB) *nats.Conn {
	t.Helper()
	return n.connect(t, permit.Principal{Roles: []permit.Role{permit.Operator}})
}

// Inside returns a connection that may look into buckets and streams, which no
// operator needs to.
func (n *Node) Inside(t testing.TB) *nats.Conn {
	t.Helper()
	return n.connect(t, permit.Process("edge", "actor", "media", "control"))
}

// Within returns a connection of the workers of one agent, of a node whose broker
// asks who it is.
func (n *Node) Within(t testing.TB, agent string) *nats.Conn {
	t.Helper()
	return n.connect(t, permit.Principal{Roles: []permit.Role{permit.Worker}, Name: agent})
}

func (n *Node) connect(t testing.TB, who permit.Principal) *nats.Conn {
	t.Helper()
	opts := []nats.Option{nats.Timeout(controlLimit), nats.MaxReconnects(-1), nats.ReconnectWait(100 * time.Millisecond),
		nats.PingInterval(time.Second), nats.MaxPingsOutstanding(2)} // leaves a broker that hangs
	if n.key != "" {
		c, err := keys.ReadCluster(n.key)
		if err != nil {
			t.Fatal(err)
		}
		opts = append(opts, nats.CustomInboxPrefix(permit.Inbox(who)))
		if who.Name != "" {
			opts = append(opts, nats.UserInfo(who.String(), permit.Password(c, who)))
		} else if login, err := permit.LoginOf(c, who); err == nil {
			opts = append(opts, nats.Nkey(login.Nkey, login.Sign))
		} else {
			t.Fatal(err)
		}
	}
	nc, err := nats.Connect("nats://"+n.NATS, opts...)
	if err != nil {
		t.Fatalf("connect to the node's broker: %v", err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// An Operator drives a node over NATS.
type Operator struct {
	node   *Node
	Conn   *nats.Conn
	Inside *nats.Conn // to look into buckets and streams
}

// Operator returns an operator of the node's default account.
func (n *Node) Operator(t testing.TB) *Operator {
	t.Helper()
	return &Operator{node: n, Conn: n.Connect(t), Inside: n.Inside(t)}
}

// Try carries out one operation and returns its refusal, if any.
func (o *Operator) Try(noun, verb string, in, out any) error {
	ctx, cancel := context.WithTimeout(context.Background(), controlLimit)
	defer cancel()
	return control.Client{Conn: o.Conn, Tenant: Tenant}.Do(ctx, noun, verb, in, out)
}

// Do carries out one operation that must succeed.
func (o *Operator) Do(t testing.TB, noun, verb string, in, out any) {
	t.Helper()
	if err := o.Try(noun, verb, in, out); err != nil {
		t.Fatalf("%s %s: %v", noun, verb, err)
	}
}

// Fields are part of a spec, as its owner writes it in JSON.
type Fields map[string]any

func (f Fields) json(t testing.TB) json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Agent creates an agent behind a connector: nats, http or dialin.
func (o *Operator) Agent(t testing.TB, connector string, more Fields) control.AgentView {
	t.Helper()
	spec := Fields{"name": connector, "webrtc": Fields{"connector": connector}}
	for k, v := range more {
		spec[k] = v
	}
	var view control.AgentView
	o.Do(t, "agent", "create", control.NewAgent{Spec: spec.json(t)}, &view)
	return view
}

// Endpoint creates an endpoint that the agent answers.
func (o *Operator) Endpoint(t testing.TB, agent string, spec Fields) control.EndpointView {
	t.Helper()
	in := control.NewEndpoint{SlugPrefix: "e2e", AgentID: agent}
	if spec != nil {
		in.Spec = spec.json(t)
	}
	var view control.EndpointView
	o.Do(t, "endpoint", "create", in, &view)
	return view
}

// Update changes an endpoint.
func (o *Operator) Update(t testing.TB, id string, patch Fields) control.EndpointView {
	t.Helper()
	var view control.EndpointView
	o.Do(t, "endpoint", "update", control.Change{ID: id, Patch: patch.json(t)}, &view)
	return view
}

// Delete removes an endpoint.
func (o *Operator) Delete(t testing.TB, id string) {
	t.Helper()
	o.Do(t, "endpoint", "delete", control.ID{ID: id}, nil)
}

// Account changes the account, for instance its refusal style.
func (o *Operator) Account(t testing.TB, patch Fields) {
	t.Helper()
	o.Do(t, "account", "update", control.AccountChange{Patch: patch.json(t)}, nil)
}

// Calls lists the live calls.
func (o *Operator) Calls(t testing.TB) []control.CallView {
	t.Helper()
	var page control.Page[control.CallView]
	o.Do(t, "call", "list", control.PageRequest{}, &page)
	return page.Items
}

// CallOf waits for the one live call of an endpoint.
func (o *Operator) CallOf(t testing.TB, ep control.EndpointView, state string) control.CallView {
	t.Helper()
	var found control.CallView
	WaitFor(t, callLimit, "a call of "+string(ep.Key)+" that is "+state, func() bool {
		for _, c := range o.Calls(t) {
			if c.Endpoint == ep.Key && c.State == state {
				found = c
				return true
			}
		}
		return false
	})
	return found
}

// callLimit is the longest wait for a call to reach a state.
const callLimit = 30 * time.Second

// Hangup ends a live call.
func (o *Operator) Hangup(t testing.TB, call control.CallView) {
	t.Helper()
	o.Do(t, "call", "hangup", control.ID{ID: call.ID.String()}, nil)
}
