package edge

import (
	"patchbay/actors/endpoint"
	"patchbay/sip/wire"
)

// addressOf returns what was dialled (design 3). The Request-URI decides.
func addressOf(uri wire.URI, baseDomain string) endpoint.Address {
	return endpoint.Dialled(uri.User, uri.Host, baseDomain)
}

// inviteOf returns the facts of an initial INVITE, or of a CANCEL of one.
func (e *Edge) inviteOf(r *request) endpoint.Invite {
	m := r.m
	return endpoint.Invite{
		Address: addressOf(m.RequestURI, e.cfg.BaseDomain),
		CallID:  m.CallID, FromTag: m.FromTag, CSeq: m.CSeq, Branch: m.Branch,
		Source:    r.in.flow.Remote,
		Transport: string(r.in.flow.Transport),
		FromUser:  m.From().User,
		ToUser:    m.To().User,
	}
}
