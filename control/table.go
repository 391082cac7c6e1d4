package control

import (
	"context"
	"reflect"
	"slices"

	"patchbay/actors/endpoint"
)

// An operation is one noun and verb, with its request and reply as JSON.
type operation struct {
	noun, verb string
	scopes     []string // a key needs them all
	operator   bool     // for endpoint.OperatorTenant only
	in, out    reflect.Type
	run        func(ctx context.Context, tenant string, body []byte) (any, error)
}

// table lists every operation. The NATS service, the HTTP gateway and the
// client follow it.
func (o *Operations) table() []operation {
	all := []operation{
		own("account", "get", o.GetAccount, endpoint.ScopeAccountRead),
		own("account", "update", o.UpdateAccount, endpoint.ScopeAccountManage),
		operators("account", "create", o.CreateAccount, endpoint.ScopeOperatorManage),
		operators("account", "list", o.ListAccounts, endpoint.ScopeOperatorRead),
		operators("account", "delete", o.DeleteAccount, endpoint.ScopeOperatorManage),
		own("project", "create", o.CreateProject, endpoint.ScopeAccountManage),
		own("project", "get", o.GetProject, endpoint.ScopeAccountRead),
		own("project", "list", o.ListProjects, endpoint.ScopeAccountRead),
		own("project", "update", o.UpdateProject, endpoint.ScopeAccountManage),
		own("project", "delete", o.DeleteProject, endpoint.ScopeAccountManage),
		own("key", "create", o.CreateKey, endpoint.ScopeKeysManage),
		own("key", "get", o.GetKey, endpoint.ScopeKeysRead),
		own("key", "list", o.ListKeys, endpoint.ScopeKeysRead),
		own("key", "revoke", o.RevokeKey, endpoint.ScopeKeysManage),
		own("key", "delete", o.DeleteKey, endpoint.ScopeKeysManage),
		own("endpoint", "create", o.CreateEndpoint, endpoint.ScopeEndpointsManage),
		own("endpoint", "get", o.GetEndpoint, endpoint.ScopeEndpointsRead),
		own("endpoint", "list", o.ListEndpoints, endpoint.ScopeEndpointsRead),
		own("endpoint", "update", o.UpdateEndpoint, endpoint.ScopeEndpointsManage),
		own("endpoint", "delete", o.DeleteEndpoint, endpoint.ScopeEndpointsManage),
		own("agent", "create", o.CreateAgent, endpoint.ScopeAgentsManage),
		own("agent", "get", o.GetAgent, endpoint.ScopeAgentsRead),
		own("agent", "list", o.ListAgents, endpoint.ScopeAgentsRead),
		own("agent", "update", o.UpdateAgent, endpoint.ScopeAgentsManage),
		own("agent", "delete", o.DeleteAgent, endpoint.ScopeAgentsManage),
		own("agent", "workers", o.AgentWorkers, endpoint.ScopeAgentsRead),
	}
	all = append(all, own("account", "import", o.ImportLines, endpoint.ScopeAgentsManage, endpoint.ScopeEndpointsManage))
	return slices.Concat(all, o.keptTable(), o.routeTable(), o.trunkTable(), o.liveTable(), o.recordTable(), o.hookTable())
}

// routeTable is the part about where calls go.
func (o *Operations) routeTable() []operation {
	return []operation{
		own("number", "create", o.CreateNumber, endpoint.ScopeEndpointsManage),
		own("number", "get", o.GetNumber, endpoint.ScopeEndpointsRead),
		own("number", "list", o.ListNumbers, endpoint.ScopeEndpointsRead),
		own("number", "delete", o.DeleteNumber, endpoint.ScopeEndpointsManage),
		own("call", "explain", o.ExplainCall, endpoint.ScopeEndpointsRead),
	}
}

// liveTable is the part about what runs: calls, nodes, and who may reach them.
func (o *Operations) liveTable() []operation {
	return []operation{
		own("call", "list", o.ListCalls, endpoint.ScopeCallsRead),
		own("call", "get", o.GetCall, endpoint.ScopeCallsRead),
		own("call", "find", o.FindCalls, endpoint.ScopeCallsRead),
		own("call", "hangup", o.HangupCall, endpoint.ScopeCallsManage),
		own("call", "transfer", o.TransferCall, endpoint.ScopeCallsManage),
		own("call", "hangup-all", o.HangupCalls, endpoint.ScopeCallsManage),
		operators("block", "create", o.CreateBlock, endpoint.ScopeOperatorManage),
		operators("block", "list", o.ListBlocks, endpoint.ScopeOperatorRead),
		operators("block", "delete", o.DeleteBlock, endpoint.ScopeOperatorManage),
		operators("node", "list", o.ListNodes, endpoint.ScopeOperatorRead),
		operators("node", "drain", o.DrainNode, endpoint.ScopeOperatorManage),
	}
}

// own is an operation of every account on what is its own.
func own[In, Out any](noun, verb string, do func(context.Context, string, In) (Out, error), scopes ...string) operation {
	return operation{noun: noun, verb: verb, scopes: scopes, run: typed(do), in: reflect.TypeFor[In](), out: reflect.TypeFor[Out]()}
}

// operators is an operation of the operator's account on the cluster.
func operators[In, Out any](noun, verb string, do func(context.Context, string, In) (Out, error), scopes ...string) operation {
	op := own(noun, verb, do, scopes...)
	op.operator = true
	return op
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
