package dialog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/sip/sdp"
	"patchbay/sip/txn"
	"patchbay/sip/wire"
)

// stateVersion is the major version of a dialog's snapshot. Fields may be added
// within it; readers ignore those that they do not know.
const stateVersion = 1

// ErrState says that a dialog cannot be restored from what was kept of it.
var ErrState = errors.New("dialog: not a snapshot that can be restored here")

// A state is what another node needs to go on with a dialog. It holds what the
// carrier dialled, which may be a bearer slug: it must be sealed where it is
// kept.
type state struct {
	V        int       `json:"v"`
	Caller   bool      `json:"caller,omitempty"` // we began the call
	CallID   string    `json:"call_id"`
	Tag      string    `json:"tag"` // ours: a token, which never changes
	PeerTag  string    `json:"peer_tag"`
	PeerCSeq uint32    `json:"peer_cseq"`      // highest of the carrier's requests
	CSeq     uint32    `json:"cseq,omitempty"` // of our last request
	Flow     call.Flow `json:"flow"`           // of the latest message

	InviteBranch string    `json:"invite_branch"`
	InviteCSeq   uint32    `json:"invite_cseq"`
	InviteFlow   call.Flow `json:"invite_flow"` // of its latest copy

	// Of an unanswered call that we began.
	SentBy   string         `json:"sent_by,omitempty"` // by which the carrier knows us; empty: it said nothing yet
	SentTo   netip.AddrPort `json:"sent_to,omitzero"`
	SentHost string         `json:"sent_host,omitempty"`

	// Of an answered dialog, or one that we began.
	Answered  bool         `json:"answered,omitempty"`
	Acked     bool         `json:"acked,omitempty"`
	Target    string       `json:"target,omitempty"`     // the carrier's Contact (RFC 3261 12.1.1); before the answer of a call that we began, its Request-URI
	Routes    []string     `json:"routes,omitempty"`     // Record-Route values in their order
	LocalURI  string       `json:"local_uri,omitempty"`  // From of our requests, without our tag
	RemoteURI string       `json:"remote_uri,omitempty"` // To of our requests
	Answer    *call.Answer `json:"answer,omitempty"`     // our SDP, as it was written last
	OriginID  uint64       `json:"origin_id,omitempty"`  // of our SDP's o= line
	OriginVer uint64       `json:"origin_version,omitempty"`
	Lines     sdp.Shape    `json:"lines,omitzero"` // m-lines of the descriptions
}

// Snapshot implements [actors.Dialog].
func (d *UAS) Snapshot() json.RawMessage {
	if d.over {
		return nil
	}
	s := state{V: stateVersion, CallID: d.callID, Tag: d.tag, PeerTag: d.peerTag, PeerCSeq: d.peerSeq, CSeq: d.seq, Flow: d.flow,
		InviteBranch: d.first.branch, InviteCSeq: d.first.seq, InviteFlow: d.first.flow}
	if d.first.tx.Accepted() {
		o := d.origin()
		s.Answered, s.Acked = true, !d.first.tx.AwaitsAck()
		s.Target, s.Routes, s.LocalURI, s.RemoteURI = d.route.target.Reveal(), d.route.set, d.route.local, d.route.remote
		s.Answer, s.OriginID, s.OriginVer, s.Lines = d.said.answer, o.ID, o.Version, d.said.shape
	}
	raw, err := json.Marshal(s)
	if err != nil { // strings and numbers only: it cannot be
		return nil
	}
	return raw
}

// Restore makes the dialog of a call that another node carried; it implements
// [actors.Dialogs]. Its tag stays, its requests bear this node's slot. An
// answered dialog counts as acknowledged: its carrier will not hear the 200
// again. The error wraps [ErrState], and shows nothing of the snapshot.
func (f *Factory) Restore(id call.ID, raw json.RawMessage, p call.Packet) (actors.Dialog, error) {
	var s state
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("%w: not the JSON that was expected", ErrState)
	}
	if s.V != stateVersion {
		return nil, fmt.Errorf("%w: of version %d, want %d", ErrState, s.V, stateVersion)
	}
	common := dialog{options: &f.options, id: id, callID: s.CallID, tag: s.Tag, peerTag: s.PeerTag, peerSeq: s.PeerCSeq, seq: s.CSeq,
		sent: s.CSeq, flow: s.Flow, said: &description{answer: s.Answer, version: s.OriginVer, shape: s.Lines}}
	if s.Caller {
		return restoreCaller(common, &s)
	}
	d := &UAS{dialog: common, first: invite{branch: s.InviteBranch, seq: s.InviteCSeq, flow: s.InviteFlow}}
	if s.Answered {
		return d, d.reanswered(&s)
	}
	m, fault := wire.Read(bytes.Clone(p.Raw), wire.RelayLimits())
	if fault != nil || m.Method != "INVITE" || m.CallID != s.CallID {
		return nil, fmt.Errorf("%w: its INVITE is missing or another call's", ErrState)
	}
	target, refusal := check(m)
	if refusal != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, refusal)
	}
	session, _, refusal := readFirst(m)
	if refusal != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, refusal)
	}
	back := readRoute(m, target)
	d.message, d.session, d.route, d.ringing = m, session, &back, true
	d.first.tx = txn.StartInvite(f.options.Timers, s.InviteFlow.Transport.Reliable())
	return d, nil
}

// reanswered restores what only an answered dialog has.
func (d *UAS) reanswered(s *state) error {
	target, err := wire.ParseURI(s.Target)
	if err != nil {
		return fmt.Errorf("%w: no remote target", ErrState)
	}
	d.route = &route{target: target, set: s.Routes, local: s.LocalURI, remote: s.RemoteURI}
	d.first.tx = txn.ResumeAccepted(d.options.Timers, s.InviteFlow.Transport.Reliable())
	return nil
}
