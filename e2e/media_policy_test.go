package e2e_test

import (
	"strings"
	"testing"
	"time"

	"patchbay/e2e/rig"
	"patchbay/internal/caller"
)

// TestAnEndpointsMediaPolicyHoldsForItsCalls: what an owner allows narrows the
// answer, and a call that is left with nothing, or that would lack the
// encryption its owner wants, is 488.
func TestAnEndpointsMediaPolicyHoldsForItsCalls(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	s.op.Account(t, rig.Fields{"refusal": "explicit", "sip": rig.Fields{"default_codecs": []string{"G722"}}})
	all := rig.Fields{"webrtc": rig.Fields{"connector": "nats"}}
	workers := map[string]*worker{"": s.worker(t, []string{"PCMU"}, all, echo)}
	for _, codec := range []string{"PCMA", "G722"} {
		workers[codec] = s.worker(t, []string{codec}, all, echo)
	}
	for name, c := range map[string]struct {
		media  rig.Fields
		offer  []string
		codec  string
		status int
	}{
		"its own codec":         {rig.Fields{"codecs": []string{"PCMA"}}, []string{"PCMU", "PCMA", "G722"}, "PCMA", 200},
		"the account's":         {nil, []string{"PCMU", "PCMA", "G722"}, "G722", 200},
		"an empty list":         {rig.Fields{"codecs": []string{}}, []string{"PCMU", "PCMA", "G722"}, "G722", 200},
		"none in common":        {rig.Fields{"codecs": []string{"PCMA"}}, []string{"PCMU"}, "", 488},
		"none that is served":   {rig.Fields{"codecs": []string{"G729", "VP8"}}, []string{"PCMU", "PCMA", "G722"}, "", 488},
		"encryption required":   {rig.Fields{"encryption": "required"}, []string{"PCMU", "PCMA", "G722"}, "", 488},
		"encryption if it goes": {rig.Fields{"encryption": "optional"}, []string{"G722"}, "G722", 200},
	} {
		t.Run(name, func(t *testing.T) {
			spec, w := rig.Fields{}, workers[c.codec]
			if c.media != nil {
				spec["media"] = c.media
			}
			rep := s.dial(t, s.op.Endpoint(t, w.view.ID, spec).Slug, caller.Options{Codecs: c.offer, Talk: 100 * time.Millisecond})
			if rep.Status != c.status {
				t.Fatalf("got %d %s, want %d", rep.Status, rep.Phrase, c.status)
			}
			if c.status == 200 {
				answered(t, rep, c.codec)
				if offer := string(w.next(t).offer); !strings.Contains(offer, c.codec) || len(c.offer) > 1 && strings.Contains(offer, "PCMU") {
					t.Errorf("the agent was offered more than %s: %s", c.codec, offer)
				}
			}
		})
	}
	if n := len(workers[""].took); n != 0 {
		t.Errorf("an agent was offered %d calls that it must not have", n)
	}
}
