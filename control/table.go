package control

import "context"

// An operation is one noun and verb, with its request and reply as JSON.
type operation struct {
	noun, verb string
	run        func(ctx context.Context, tenant string, body []byte) (any, error)
}

// table lists every operation. The NATS service and the client follow it.
func (o *Operations) table() []operation {
	return []operation{
		{"account", "get", typed(o.GetAccount)},
		{"account", "update", typed(o.UpdateAccount)},
		{"endpoint", "create", typed(o.CreateEndpoint)},
		{"endpoint", "get", typed(o.GetEndpoint)},
		{"endpoint", "list", typed(o.ListEndpoints)},
		{"endpoint", "update", typed(o.UpdateEndpoint)},
		{"endpoint", "delete", typed(o.DeleteEndpoint)},
		{"agent", "create", typed(o.CreateAgent)},
		{"agent", "get", typed(o.GetAgent)},
		{"agent", "list", typed(o.ListAgents)},
		{"agent", "update", typed(o.UpdateAgent)},
		{"agent", "delete", typed(o.DeleteAgent)},
		{"call", "list", typed(o.ListCalls)},
		{"call", "get", typed(o.GetCall)},
		{"call", "hangup", typed(o.HangupCall)},
	}
}

// typed decodes the request strictly before it is carried out.
func typed[In, Out any](do func(context.Context, string, In) (Out, error)) func(context.Context, string, []byte) (any, error) {
	return func(ctx context.Context, tenant string, body []byte) (any, error) {
		var in In
		if err := strict(body, &in); err != nil {
			return nil, err
		}
		return do(ctx, tenant, in)
	}
}
