package envelope

import (
	"fmt"

	"patchbay/actors"
	"patchbay/actors/endpoint"
)

// EncodeQuestion writes a media node's question who answers a call.
func EncodeQuestion(q actors.Question) ([]byte, error) {
	q.V = Version
	return marshal(q)
}

// DecodeQuestion reads what [EncodeQuestion] wrote.
func DecodeQuestion(b []byte) (actors.Question, error) {
	var q actors.Question
	if err := unmarshal(b, &q); err != nil {
		return q, err
	}
	return q, spoken(q.V)
}

// A rulingLine is one reply to a question: a sign that it is being worked on,
// or its end.
type rulingLine struct {
	V       int            `json:"v"`
	Working bool           `json:"working,omitempty"`
	Ruling  *actors.Ruling `json:"ruling,omitempty"`
}

// EncodeWorking writes a decider's sign of progress.
func EncodeWorking() ([]byte, error) { return marshal(rulingLine{V: Version, Working: true}) }

// EncodeRuling writes a decider's ruling.
func EncodeRuling(r actors.Ruling) ([]byte, error) {
	r.V = Version
	return marshal(rulingLine{V: Version, Ruling: &r})
}

// DecodeRuling reads what [EncodeWorking] or [EncodeRuling] wrote; a nil
// ruling is a sign of progress.
func DecodeRuling(b []byte) (*actors.Ruling, error) {
	var l rulingLine
	if err := unmarshal(b, &l); err != nil {
		return nil, err
	}
	if err := spoken(l.V); err != nil {
		return nil, err
	}
	switch r := l.Ruling; {
	case r == nil && !l.Working:
		return nil, fmt.Errorf("%w: neither working nor a ruling", ErrMalformed)
	case r != nil && r.Agent == nil && !r.Admitted && (r.Status < 400 || r.Status > 699):
		return nil, fmt.Errorf("%w: neither an agent nor a final failure: status %d", ErrMalformed, r.Status)
	}
	return l.Ruling, nil
}

type explainLine struct {
	V      int             `json:"v"`
	Tenant string          `json:"tenant"`
	Invite endpoint.Invite `json:"invite"`
}

// EncodeExplain writes the facts of an INVITE that is to be explained to a
// tenant.
func EncodeExplain(tenant string, inv endpoint.Invite) ([]byte, error) {
	return marshal(explainLine{V: Version, Tenant: tenant, Invite: inv})
}

// DecodeExplain reads what [EncodeExplain] wrote.
func DecodeExplain(b []byte) (tenant string, inv endpoint.Invite, err error) {
	var l explainLine
	if err := unmarshal(b, &l); err != nil {
		return "", l.Invite, err
	}
	return l.Tenant, l.Invite, spoken(l.V)
}

// EncodeExplanation writes a decider's explanation.
func EncodeExplanation(x actors.Explanation) ([]byte, error) {
	x.V = Version
	return marshal(x)
}

// DecodeExplanation reads what [EncodeExplanation] wrote.
func DecodeExplanation(b []byte) (actors.Explanation, error) {
	var x actors.Explanation
	if err := unmarshal(b, &x); err != nil {
		return x, err
	}
	return x, spoken(x.V)
}
