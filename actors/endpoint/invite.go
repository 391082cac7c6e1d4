package endpoint

import "net/netip"

// An Invite is what an edge saw of an initial INVITE: facts, no opinions.
type Invite struct {
	Address   Address        `json:"address"`
	CallID    string         `json:"call_id"`
	FromTag   string         `json:"from_tag"`
	CSeq      uint32         `json:"cseq"`
	Branch    string         `json:"branch"`
	Source    netip.AddrPort `json:"source"` // of the packet, never of a header; unmapped
	Transport string         `json:"transport"`
	FromUser  string         `json:"from_user,omitempty"`
	ToUser    string         `json:"to_user,omitempty"`
}
