package edge

import (
	"strings"

	"patchbay/actors/endpoint"
	"patchbay/sip/wire"
)

// addressOf returns what was dialled (design 3). The Request-URI decides: at
// <label>.<base domain> it is a user of an account, anywhere else a slug.
func addressOf(uri wire.URI, baseDomain string) endpoint.Address {
	host := strings.TrimSuffix(uri.Host, ".")
	label, ok := strings.CutSuffix(host, "."+strings.ToLower(baseDomain))
	if ok && label != "" && !strings.Contains(label, ".") {
		return endpoint.UserAddress(label, uri.User)
	}
	return endpoint.SlugAddress(endpoint.Slug(uri.User))
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
