package dialog

import (
	"encoding/json"
	"fmt"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/sip/txn"
	"patchbay/sip/wire"
)

// Snapshot implements [actors.Dialog]. It holds no credentials: a survivor
// cannot answer who asks for some. It is nil before the INVITE.
func (d *UAC) Snapshot() json.RawMessage {
	a := d.current()
	if d.over || !d.answered && a == nil {
		return nil
	}
	s := state{V: stateVersion, Caller: true, CallID: d.callID, Tag: d.tag, PeerTag: d.peerTag, PeerCSeq: d.peerSeq, CSeq: d.seq, Flow: d.flow,
		Answered: d.answered, Acked: d.answered, Target: d.route.target.Reveal(), Routes: d.route.set, LocalURI: d.route.local, RemoteURI: d.route.remote}
	if d.answered {
		s.Answer, s.OriginID, s.OriginVer, s.Lines = d.said.answer, d.origin().ID, d.origin().Version, d.said.shape
	} else {
		s.InviteBranch, s.InviteCSeq, s.InviteFlow = a.branch, a.seq, a.to.Flow
		s.SentBy, s.SentTo, s.SentHost = a.sentBy, a.to.To, a.to.Host
	}
	raw, err := json.Marshal(s)
	if err != nil { // strings and numbers only: it cannot be
		return nil
	}
	return raw
}

// recalled is where the numbers of a survivor's branches begin: the node before
// cannot have come as far.
const recalled = 1 << 16

// restoreCaller makes the dialog of a call that another node began. One that
// has no answer yet can be given up: it counts as ringing.
func restoreCaller(common dialog, s *state) (actors.Dialog, error) {
	target, err := wire.ParseURI(s.Target)
	if err != nil {
		return nil, fmt.Errorf("%w: no remote target", ErrState)
	}
	d := &UAC{dialog: common, target: target, invited: true, heard: true, answered: s.Answered, outcome: s.Answered}
	d.sent = recalled
	d.route = &route{target: target, set: s.Routes, local: s.LocalURI, remote: s.RemoteURI}
	d.login.cnonce = s.Tag
	if s.Answered {
		return d, nil
	}
	a := &attempt{branch: s.InviteBranch, seq: s.InviteCSeq, sentBy: s.SentBy,
		to: call.Transmission{Flow: s.InviteFlow, To: s.SentTo, Host: s.SentHost}}
	if a.sentBy == "" { // no edge's word; the branch finds the call all the same
		a.sentBy = call.SenderHost
	}
	a.tx = txn.ResumeInviteClient(d.options.Timers)
	d.attempts = []*attempt{a}
	return d, nil
}
