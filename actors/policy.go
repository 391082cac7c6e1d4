package actors

import (
	"fmt"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// A Policy is all that is read to decide on a call. It may be shared: nobody
// writes to it.
type Policy struct {
	Key      endpoint.Key       // of what decides: the endpoint, or the account's own address
	Endpoint *endpoint.Endpoint // nil: the account itself decides
	Account  *endpoint.Account  // nil: what was dialled does not exist
	Agent    *endpoint.Agent    // that the policy names for this call; nil: none, or known not to exist
	Failover []endpoint.Agent   // asked after it, in this order
	asked    string             // id under which Agent was looked up
}

// A BeatCounter is a [Load] that counts the reports of each media node. Where
// the Load of [Endpoints] is one, a call too short to be seen in any report
// frees its place after the second; otherwise after the reservation's end.
type BeatCounter interface {
	Beats(node string) uint64
}

// policyFor reads the policy that decides on an INVITE: that of the endpoint
// at its address, else that of the account at whose domain it was dialled.
func policyFor(src source, in *invite, partition uint8) (Policy, error) {
	pol := Policy{Key: in.dialled}
	ep, err := src.endpoint(in.dialled, partition)
	if err != nil {
		return Policy{}, err
	}
	tenant := ""
	switch {
	case ep != nil:
		pol.Endpoint, tenant = ep, ep.Tenant
	case in.account != "":
		pol.Key = in.account
		if tenant, err = src.domain(in.account, partition); err != nil {
			return Policy{}, err
		}
	}
	if tenant == "" {
		return Policy{}, nil
	}
	if pol.Account, err = src.account(tenant); err != nil {
		return Policy{}, err
	}
	if pol.Account == nil {
		return Policy{}, fmt.Errorf("account %s: %w", tenant, endpoint.ErrNotFound)
	}
	if pol.Endpoint == nil && endpoint.AccountAddress(pol.Account.SIP.DomainIdentifier).Key() != in.account {
		return Policy{}, nil // claimed, and never taken into use
	}
	if pol.asked = pol.agentOf(in); pol.asked != "" {
		if pol.Agent, err = src.agent(tenant, pol.asked); err != nil {
			return pol, err
		}
		pol.Failover, err = Failover(pol.Agent, func(id string) (*endpoint.Agent, error) { return src.agent(tenant, id) })
	}
	return pol, err
}

// agentOf returns the id of the agent that the policy names for an INVITE, or
// "".
func (p *Policy) agentOf(in *invite) string {
	if p.Endpoint != nil && p.Endpoint.Handler.Active != endpoint.HandlerRules {
		return p.Endpoint.Handler.Agent()
	}
	return p.Account.Route(&in.Invite).Agent
}

// fits reports whether the policy, read for one INVITE, is whole for another
// to the same address.
func (p *Policy) fits(in *invite) bool { return p.Account == nil || p.agentOf(in) == p.asked }

// decide returns the verdict on an INVITE.
func (p *Policy) decide(use endpoint.Usage, in *invite) endpoint.Verdict {
	if p.Endpoint == nil {
		return endpoint.DecideAccount(*p.Account, use, in.Invite).CheckAgent(p.Agent)
	}
	return endpoint.Decide(*p.Endpoint, *p.Account, use, in.Invite).CheckAgent(p.Agent)
}

// project returns the id of the project whose limits count; "" is the
// account's first.
func (p *Policy) project() string {
	if p.Endpoint == nil {
		return ""
	}
	return p.Endpoint.ProjectID
}

// transactionOf returns what makes two copies of an INVITE the same.
func transactionOf(inv *endpoint.Invite) call.TransactionKey {
	return call.TransactionKey{CallID: inv.CallID, FromTag: inv.FromTag, CSeq: inv.CSeq}
}
