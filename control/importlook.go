package control

import (
	"context"
	"errors"

	"patchbay/actors/endpoint"
)

// look reads all objects of the lines at once.
func (b *batch) look(ctx context.Context, lines []Line) (err error) {
	var agents, eps []string
	for _, l := range lines {
		switch {
		case l.ID == "":
		case l.Kind == LineAgent:
			agents = append(agents, l.ID)
		case l.Kind == LineEndpoint:
			eps = append(eps, l.ID)
		}
	}
	b.oldAgents, b.oldEps, err = b.o.Store.ByIDs(ctx, b.tenant, agents, eps)
	return err
}

// agentBy and endpointBy return an object of a line as it is.
func (b *batch) agentBy(ctx context.Context, id string) (endpoint.Agent, error) {
	if b.oldAgents == nil {
		return b.o.Store.AgentByID(ctx, b.tenant, id)
	}
	return found(b.oldAgents, id)
}

func (b *batch) endpointBy(ctx context.Context, id string) (endpoint.Endpoint, error) {
	if b.oldEps == nil {
		return b.o.Store.EndpointByID(ctx, b.tenant, id)
	}
	return found(b.oldEps, id)
}

func found[T any](all map[string]T, id string) (T, error) {
	v, ok := all[id]
	if !ok {
		return v, endpoint.ErrNotFound
	}
	return v, nil
}

// refused names the line that wants what another object has.
func (b *batch) refused(err error) error {
	var twice *endpoint.Duplicate
	if !errors.As(err, &twice) || b.ids[LineEndpoint+twice.ID] == 0 {
		return err
	}
	told := lineErrors([]LineProblem{{b.ids[LineEndpoint+twice.ID], endpoint.Problem{Field: twice.Field, Code: endpoint.CodeDuplicate,
		Message: "another object has it already"}}})
	told.Code = CodeExists
	return told
}
