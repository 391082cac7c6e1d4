package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/envelope"
	"patchbay/cluster/placement"
)

// A Selection says which live calls are meant: those for which all that is set
// is true.
type Selection struct {
	Tenant   string // "": every tenant's
	Endpoint endpoint.Key
	Node     string
}

// A findRequest asks a media node for calls by what people know of them.
type findRequest struct {
	listRequest
	Query string `json:"query"`
	All   bool   `json:"all,omitempty"` // of every tenant
}

type hangupRequest struct {
	All      bool         `json:"all,omitempty"` // of every tenant
	Endpoint endpoint.Key `json:"endpoint,omitempty"`
	Dry      bool         `json:"dry_run,omitempty"`
}

type hangupReply struct {
	Calls int `json:"calls"`
	Busy  int `json:"busy,omitempty"` // that could not be told
}

// Find returns up to limit live calls of a tenant ("": of all) that query
// names, the longest first: by SIP Call-ID, id, Key of the endpoint, or number.
// With an error it returns what the other nodes said.
func (c *Commander) Find(ctx context.Context, tenant, query string, limit int) ([]actors.CallStatus, error) {
	return c.gather(ctx, opFind, tenant, limit, func(part listRequest) any {
		return findRequest{listRequest: part, Query: query, All: tenant == ""}
	})
}

// HangupAll ends the calls that are meant, or only counts them, and returns how
// many there were. An error may leave some of them up.
func (c *Commander) HangupAll(ctx context.Context, sel Selection, dry bool) (int, error) {
	body, err := json.Marshal(hangupRequest{All: sel.Tenant == "", Endpoint: sel.Endpoint, Dry: dry})
	if err != nil {
		return 0, err
	}
	nodes := slices.DeleteFunc(slices.Clone(c.nodes()), func(n placement.Node) bool { return sel.Node != "" && n.Name != sel.Node })
	answers, err := everywhere(nodes, func(n placement.Node) (hangupReply, error) {
		return ask[hangupReply](ctx, c, n, envelope.Command{Op: opHangupAll, Tenant: sel.Tenant, Body: body})
	})
	told, busy := 0, 0
	for _, a := range answers {
		told, busy = told+a.Calls, busy+a.Busy
	}
	if busy > 0 {
		err = errors.Join(err, fmt.Errorf("%w: %d calls could not be told", actors.ErrBusy, busy))
	}
	return told, err
}

// ask puts one question to one media node.
func ask[T any](ctx context.Context, c *Commander, n placement.Node, cmd envelope.Command) (T, error) {
	var reply T
	body, err := c.at(ctx, n.Slot, cmd)
	if err == nil {
		err = json.Unmarshal(body, &reply)
	}
	return reply, err
}

// findCalls is the media node's side of Find.
func (d *CallDoor) findCalls(ctx context.Context, cmd envelope.Command) (listReply, error) {
	var ask findRequest
	if err := json.Unmarshal(cmd.Body, &ask); err != nil {
		return listReply{}, errors.New("find: not the JSON that was expected")
	}
	return d.part(ctx, ask.listRequest, func(s *actors.CallStatus) bool {
		return (ask.All || s.Tenant == cmd.Tenant) && named(s, ask.Query)
	})
}

// hangupAll is the media node's side of HangupAll.
func (d *CallDoor) hangupAll(ctx context.Context, cmd envelope.Command) (hangupReply, error) {
	var ask hangupRequest
	if err := json.Unmarshal(cmd.Body, &ask); err != nil {
		return hangupReply{}, errors.New("hangup-all: not the JSON that was expected")
	}
	all, err := d.calls.List(ctx)
	if err != nil {
		return hangupReply{}, err
	}
	var reply hangupReply
	for _, status := range all {
		if !ask.All && status.Tenant != cmd.Tenant || ask.Endpoint != "" && status.Endpoint != ask.Endpoint {
			continue
		}
		if !ask.Dry {
			err := d.calls.Hangup(status.ID, call.CauseOperator)
			if errors.Is(err, actors.ErrNotMine) {
				continue // it has ended meanwhile
			}
			if err != nil {
				reply.Busy++
				continue
			}
		}
		reply.Calls++
	}
	return reply, nil
}

// named reports whether query is what somebody would call this call by.
func named(s *actors.CallStatus, query string) bool {
	if query == s.SIPCallID || query == s.ID.String() || query == string(s.Endpoint) {
		return true
	}
	number := digits(query)
	return number != "" && (number == digits(s.From.User) || number == digits(s.To.User))
}

// digits returns a telephone number without its + and visual separators (RFC
// 3966 3), "" for what is none.
func digits(text string) string {
	plain := strings.NewReplacer("-", "", ".", "", "(", "", ")", "", " ", "").Replace(strings.TrimPrefix(text, "+"))
	if strings.Trim(plain, "0123456789*#") != "" {
		return ""
	}
	return plain
}
