package edge

import (
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/sip/wire"
)

// Facts returns what deciders are told of an initial INVITE, or of a CANCEL of
// one, that came on flow. The Request-URI says what was dialled (docs/routing.md).
func Facts(m *wire.Message, flow call.Flow, baseDomain string) endpoint.Invite {
	return endpoint.Invite{
		Address: endpoint.Dialled(m.RequestURI.User, m.RequestURI.Host, baseDomain),
		CallID:  m.CallID, FromTag: m.FromTag, CSeq: m.CSeq, Branch: m.Branch,
		Source:    flow.Remote,
		Transport: string(flow.Transport),
		FromUser:  m.From().User,
		ToUser:    m.To().User,
	}
}

func (e *Edge) inviteOf(r *request) endpoint.Invite { return Facts(r.m, r.in.flow, e.cfg.BaseDomain) }
