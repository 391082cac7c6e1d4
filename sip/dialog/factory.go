package dialog

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/sip/sdp"
	"patchbay/sip/token"
	"patchbay/sip/txn"
	"patchbay/sip/wire"
)

// Options are what all dialogs of a node share.
type Options struct {
	Keys      *token.Keys
	Slot      call.Slot // of this node; travels in our tags, Contacts and branches
	Timers    txn.Timers
	Advertise string // host or host:port in Contact and Via, where the edge has none of its own; empty: where the INVITE arrived
	// SessionExpires is the session timer that we ask for; 0: we ask for none, and
	// keep to what carriers ask for.
	SessionExpires time.Duration
	Reliable       bool   // 18x are sent reliably where the carrier supports it (RFC 3262), not only where it requires it
	BaseDomain     string // of bearer slugs; <account>.<base domain> is an account's
}

// A Factory makes dialogs. It is safe for concurrent use; what it makes is not.
type Factory struct{ options Options }

var (
	_ actors.Dialogs = (*Factory)(nil)
	_ actors.Dialog  = (*UAS)(nil)
)

// NewFactory returns a Factory. It refuses options that no dialog could work
// with.
func NewFactory(o Options) (*Factory, error) {
	if o.Keys == nil {
		return nil, errors.New("dialog: no token keys")
	}
	if t := o.Timers; t.T1 <= 0 || t.T2 < t.T1 || t.T4 <= 0 {
		return nil, fmt.Errorf("dialog: timers T1 %v, T2 %v, T4 %v: want 0 < T1 <= T2 and 0 < T4", t.T1, t.T2, t.T4)
	}
	if o.Advertise != "" {
		if _, err := wire.ParseURI("sip:" + o.Advertise); err != nil || strings.ContainsAny(o.Advertise, "@;?") {
			return nil, fmt.Errorf("dialog: %q is neither host nor host:port", o.Advertise)
		}
	}
	if s := o.SessionExpires; s != 0 && (s < minSession || s > maxSession) {
		return nil, fmt.Errorf("dialog: session timer of %v: want 0, or %v to %v", s, minSession, maxSession)
	}
	o.BaseDomain = strings.ToLower(o.BaseDomain)
	return &Factory{options: o}, nil
}

// New reads an initial INVITE and returns its dialog, an [*UAS], and what it
// says. The error is a [*call.Refusal]: the INVITE cannot become a call, and
// the response in it is owed.
func (f *Factory) New(_ time.Time, id call.ID, p call.Packet) (actors.Dialog, call.Invitation, error) {
	m, fault := wire.Read(p.Raw, wire.RelayLimits())
	if fault != nil {
		return nil, call.Invitation{}, refuse(max(fault.Status, 400), call.Cause{}, "message refused: "+fault.Word)
	}
	target, refusal := check(m)
	if refusal != nil {
		return nil, call.Invitation{}, refusal
	}
	session, offer, refusal := readFirst(m)
	if refusal != nil {
		return nil, call.Invitation{}, refusal
	}
	inv := f.invitation(m, p.Flow)
	inv.Offer, inv.Reliable = offer, takesReliable(m)
	back := readRoute(m, target)
	d := &UAS{
		dialog: dialog{
			options: &f.options,
			id:      id,
			callID:  strings.Clone(m.CallID),
			tag:     f.options.Keys.Mint(token.Call, f.options.Slot, id, m.CallID),
			peerTag: strings.Clone(m.FromTag),
			flow:    p.Flow,
			peerSeq: m.CSeq,
			route:   &back,
			said:    new(description),
			ringing: true,
		},
		first:   invite{branch: strings.Clone(m.Branch), seq: m.CSeq, flow: p.Flow},
		message: m,
		session: session,
	}
	d.first.tx = txn.StartInvite(f.options.Timers, p.Flow.Transport.Reliable())
	return d, inv, nil
}

// check decides whether the message can begin a dialog at all, and returns the
// remote target (RFC 3261 12.1.1).
func check(m *wire.Message) (target wire.URI, _ *call.Refusal) {
	switch {
	case m.Method != "INVITE":
		return target, refuse(405, call.Cause{}, "not an INVITE")
	case m.ToTag != "":
		return target, refuse(481, call.Cause{}, "INVITE of a dialog that is not ours")
	}
	target, err := m.Contact()
	if err != nil {
		return target, refuse(400, call.Cause{}, "no Contact that SIP can reach")
	}
	return target, nil
}

// readFirst reads the offer of the INVITE that begins a call. Where it has none
// we shall offer, in the 2xx (RFC 3261 13.2.1).
func readFirst(m *wire.Message) (*sdp.Session, *call.Offer, *call.Refusal) {
	if !m.Described() {
		return nil, nil, nil
	}
	session, offer, refusal := readOffer(m)
	return session, &offer, refusal
}

// readOffer reads the SDP and decides what a bad one is owed.
func readOffer(m *wire.Message) (*sdp.Session, call.Offer, *call.Refusal) {
	session, err := sdp.Read(m.Header("Content-Type"), m.Body())
	switch {
	case errors.Is(err, sdp.ErrNotSDP):
		return nil, call.Offer{}, refuse(415, call.CauseBadOffer, "body is no SDP")
	case errors.Is(err, sdp.ErrMalformed):
		return nil, call.Offer{}, refuse(400, call.CauseBadOffer, "SDP is malformed")
	case err != nil:
		return nil, call.Offer{}, refuse(488, call.CauseBadOffer, err.Error())
	}
	offer, err := session.Offer()
	switch {
	case errors.Is(err, sdp.ErrNoCodec):
		return nil, call.Offer{}, refuse(488, call.CauseNoCodec, err.Error())
	case err != nil:
		return nil, call.Offer{}, refuse(488, call.CauseBadOffer, err.Error())
	}
	return session, offer, nil
}

func refuse(status int, cause call.Cause, why string) *call.Refusal {
	return &call.Refusal{Response: call.Response{Status: status, Cause: cause, Text: why}, Why: why}
}
