package gateway

import (
	"net/http"
	"reflect"
	"slices"
	"strings"

	"patchbay/control"
)

// A Route is one method of one path, and the operation behind it.
//
// What the operation wants comes from the path (names in braces are fields of
// the request), from the query (GET, DELETE), from the body (POST: the fields of
// the request and, where it has a spec, those of the spec beside them; PATCH: the
// merge patch itself), and the revision from If-Match.
type Route struct {
	Method, Path string
	Op           string       // noun.verb
	Does         string       // one line for people
	Spec         reflect.Type // of what POST and PATCH may set; nil: the request has no spec
	Names        string       // field of the reply that ends its Location, with 201; "": 200
	Without      []string     // fields of the request that are not taken here
}

// Routes are the native API. An operation that has none fails a test; after a
// change `go test ./control/gateway ./internal/doctest -update` writes the
// documents anew.
func Routes() []Route {
	return slices.Concat(accountRoutes(), objectRoutes(), outgoingRoutes(), callRoutes(), webhookRoutes(), operatorRoutes())
}

func accountRoutes() []Route {
	account, project := reflect.TypeFor[control.AccountSpec](), reflect.TypeFor[control.ProjectSpec]()
	own := []string{"tenant"}
	return []Route{
		{Method: "GET", Path: "/v1/account", Op: "account.get", Does: "The key's own account", Without: own},
		{Method: "PATCH", Path: "/v1/account", Op: "account.update", Does: "Change the key's own account", Spec: account, Without: own},
		create("/v1/accounts", "account.create", "Make an account", account).named("tenant"),
		get("/v1/accounts", "account.list", "Page of all accounts"),
		get("/v1/accounts/{tenant}", "account.get", "One account"),
		patch("/v1/accounts/{tenant}", "account.update", "Change an account", account),
		remove("/v1/accounts/{tenant}", "account.delete", "Delete an account that holds nothing"),
		act("/v1/import", "account.import", "Create and change many agents and endpoints in one batch"),
		create("/v1/projects", "project.create", "Make a project", project),
		get("/v1/projects", "project.list", "The account's projects"),
		get("/v1/projects/{id}", "project.get", "One project"),
		patch("/v1/projects/{id}", "project.update", "Change a project", project),
		remove("/v1/projects/{id}", "project.delete", "Delete a project that nothing names"),
		create("/v1/keys", "key.create", "Make an API key; its secret is in this reply only", nil),
		get("/v1/keys", "key.list", "Page of API keys"),
		get("/v1/keys/{id}", "key.get", "One API key, without its secret"),
		act("/v1/keys/{id}/revoke", "key.revoke", "End an API key for good"),
		remove("/v1/keys/{id}", "key.delete", "Delete an API key that is revoked or has expired"),
	}
}

func objectRoutes() []Route {
	ep, agent := reflect.TypeFor[control.EndpointSpec](), reflect.TypeFor[control.AgentSpec]()
	return []Route{
		create("/v1/agents", "agent.create", "Make an agent, under a UUID of your choice if you like", agent),
		get("/v1/agents", "agent.list", "Page of agents"),
		get("/v1/agents/{id}", "agent.get", "One agent"),
		patch("/v1/agents/{id}", "agent.update", "Change an agent, from the next call on", agent),
		remove("/v1/agents/{id}", "agent.delete", "Delete an agent"),
		get("/v1/agents/{id}/workers", "agent.workers", "Who is there for the agent's next call"),
		create("/v1/endpoints", "endpoint.create", "Make an endpoint; its slug is made by the server", ep),
		get("/v1/endpoints", "endpoint.list", "Page of endpoints"),
		get("/v1/endpoints/{id}", "endpoint.get", "One endpoint"),
		patch("/v1/endpoints/{id}", "endpoint.update", "Change an endpoint; its slug stays", ep),
		remove("/v1/endpoints/{id}", "endpoint.delete", "Delete an endpoint; it is refused from the reply on"),
		create("/v1/numbers", "number.create", "Make a number lead to an endpoint", nil),
		get("/v1/numbers", "number.list", "Page of numbers"),
		get("/v1/numbers/{id}", "number.get", "One number"),
		remove("/v1/numbers/{id}", "number.delete", "Give a number back"),
	}
}

// outgoingRoutes are about calls that we place, and what bounds them.
func outgoingRoutes() []Route {
	return slices.Concat(
		[]Route{create("/v1/calls", "call.create", "Call somebody, and give the call to an agent", nil)},
		crud("/v1/trunks", "trunk", "a trunk: where calls that we place go out", reflect.TypeFor[control.TrunkSpec]()),
		crud("/v1/throttles", "throttle", "a throttle: how many calls may be placed in a time", reflect.TypeFor[control.ThrottleSpec]()),
		crud("/v1/registrations", "registration", "a registration at a PBX", reflect.TypeFor[control.RegistrationSpec]()),
		crud("/v1/applications", "application", "an application: URLs that are asked about calls", reflect.TypeFor[control.ApplicationSpec]()),
	)
}

// crud are the routes of a kind of object that is made, read, changed and
// deleted by its id. What it is follows its name: "a trunk: ...".
func crud(path, noun, what string, spec reflect.Type) []Route {
	name, _, _ := strings.Cut(what, ":")
	one := path + "/{id}"
	return []Route{
		create(path, noun+".create", "Make "+what, spec),
		get(path, noun+".list", "Page of "+noun+"s"),
		get(one, noun+".get", "One "+noun),
		patch(one, noun+".update", "Change "+name, spec),
		remove(one, noun+".delete", "Delete "+name),
	}
}

func callRoutes() []Route {
	return []Route{
		get("/v1/calls", "call.list", "Live calls, oldest first, as one page"),
		get("/v1/calls/find", "call.find", "Live calls by Call-ID, number, key of an endpoint, or id"),
		get("/v1/calls/{id}", "call.get", "One live call"),
		act("/v1/calls/{id}/hangup", "call.hangup", "End a live call"),
		act("/v1/calls/{id}/transfer", "call.transfer", "Have the carrier of a live call call somebody else"),
		act("/v1/calls/hangup", "call.hangup-all", "End many live calls: of an endpoint, an account, a node"),
		act("/v1/calls/explain", "call.explain", "What would become of a call, and why"),
		get("/v1/records", "record.list", "Page of records of calls that are over"),
		get("/v1/records/{id}", "record.get", "The record of one call"),
	}
}

// webhookRoutes are about who hears of events.
func webhookRoutes() []Route {
	return append(crud("/v1/webhooks", "webhook", "a webhook: a URL that hears of events", reflect.TypeFor[control.WebhookSpec]()),
		act("/v1/webhooks/{id}/rotate", "webhook.rotate", "Add a secret, or end some"),
		get("/v1/webhooks/{id}/deliveries", "webhook.deliveries", "What was sent, waits, or was given up"),
		act("/v1/webhooks/{id}/redeliver", "webhook.redeliver", "Send events again"),
		act("/v1/webhooks/{id}/test", "webhook.test", "Send an event of the type webhook.test"),
	)
}

func operatorRoutes() []Route {
	return []Route{
		create("/v1/blocks", "block.create", "Turn a source away at every edge", nil).named("source"),
		get("/v1/blocks", "block.list", "Page of blocked sources"),
		remove("/v1/blocks/{source...}", "block.delete", "Let a source in again"),
		get("/v1/nodes", "node.list", "The nodes, silent ones too"),
		act("/v1/nodes/{node}/drain", "node.drain", "Make a node refuse new calls, or take them again"),
	}
}

func get(path, op, does string) Route {
	return Route{Method: http.MethodGet, Path: path, Op: op, Does: does}
}

func act(path, op, does string) Route {
	return Route{Method: http.MethodPost, Path: path, Op: op, Does: does}
}

func remove(path, op, does string) Route {
	return Route{Method: http.MethodDelete, Path: path, Op: op, Does: does}
}

func patch(path, op, does string, spec reflect.Type) Route {
	return Route{Method: http.MethodPatch, Path: path, Op: op, Does: does, Spec: spec}
}

func create(path, op, does string, spec reflect.Type) Route {
	return Route{Method: http.MethodPost, Path: path, Op: op, Does: does, Spec: spec, Names: "id"}
}

// named is a creation whose objects have another name than an id.
func (r Route) named(field string) Route {
	r.Names = field
	return r
}

// Pattern is the route in the syntax of [http.ServeMux].
func (r Route) Pattern() string { return r.Method + " " + r.Path }

// InPath returns the fields that the path names.
func (r Route) InPath() (names []string) {
	for _, part := range strings.Split(r.Path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			names = append(names, strings.TrimRight(name, ".}"))
		}
	}
	return names
}

// Status is that of its good reply.
func (r Route) Status() int {
	switch {
	case r.Method == http.MethodDelete:
		return http.StatusNoContent
	case r.Names != "":
		return http.StatusCreated
	}
	return http.StatusOK
}
