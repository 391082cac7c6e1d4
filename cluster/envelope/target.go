package envelope

import (
	"fmt"

	"patchbay/actors"
)

// EncodeTargetQuestion writes a media node's question about a transfer.
func EncodeTargetQuestion(q actors.TargetQuestion) ([]byte, error) {
	q.V = Version
	return marshal(q)
}

// DecodeTargetQuestion reads what [EncodeTargetQuestion] wrote.
func DecodeTargetQuestion(b []byte) (actors.TargetQuestion, error) {
	var q actors.TargetQuestion
	if err := unmarshal(b, &q); err != nil {
		return q, err
	}
	return q, spoken(q.V)
}

// EncodeTargetAnswer writes control's answer.
func EncodeTargetAnswer(a actors.TargetAnswer) ([]byte, error) {
	a.V = Version
	return marshal(a)
}

// DecodeTargetAnswer reads what [EncodeTargetAnswer] wrote.
func DecodeTargetAnswer(b []byte) (actors.TargetAnswer, error) {
	var a actors.TargetAnswer
	if err := unmarshal(b, &a); err != nil {
		return a, err
	}
	if err := spoken(a.V); err != nil {
		return a, err
	}
	if a.Job == nil && a.Replaces == nil && a.Reason == "" {
		return a, fmt.Errorf("%w: neither a job nor a dialog, and no reason", ErrMalformed)
	}
	return a, nil
}
