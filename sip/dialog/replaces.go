package dialog

import (
	"net/netip"
	"strings"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/sip/wire"
)

var _ actors.Replacer = (*Factory)(nil)

// Replaces implements [actors.Replacer] (RFC 3891 3). That the tags are ours
// says nothing about who sent the INVITE.
func (f *Factory) Replaces(p call.Packet) *call.Replacing {
	m, fault := wire.Read(p.Raw, wire.RelayLimits())
	if fault != nil {
		return nil
	}
	r, ok := m.Replaces()
	if !ok {
		return nil
	}
	return &call.Replacing{
		Dialog: call.DialogID{CallID: strings.Clone(r.CallID), OurTag: strings.Clone(r.ToTag), TheirTag: strings.Clone(r.FromTag)},
		CallID: strings.Clone(m.CallID), FromTag: strings.Clone(m.FromTag), CSeq: m.CSeq, Branch: strings.Clone(m.Branch), EarlyOnly: r.EarlyOnly,
		Dialled: string(endpoint.Dialled(m.RequestURI.User, m.RequestURI.Host, f.options.BaseDomain).Key()),
	}
}

// Refuse implements [actors.Replacer]. The tag is the one of stateless
// rejections: every edge drops the ACK (RFC 3261 8.2.7).
func (f *Factory) Refuse(p call.Packet, r call.Response) (call.Transmission, bool) {
	m, fault := wire.Read(p.Raw, wire.RelayLimits())
	if fault != nil || m.Method != "INVITE" {
		return call.Transmission{}, false
	}
	d := dialog{options: &f.options, flow: p.Flow}
	reply := d.unchanged(r)
	reply.Tag = f.options.Keys.Reject(m.CallID)
	if r.Status == 491 || r.Status == 503 {
		reply.Headers = append(reply.Headers, d.soon())
	}
	return call.Transmission{Flow: p.Flow, Raw: m.Reply(reply)}, true
}

// Peer implements [actors.Peered]: where the dialog's latest message came from.
func (d *dialog) Peer() netip.Addr { return d.flow.Remote.Addr() }
