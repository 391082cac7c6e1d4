package call_test

import (
	"slices"
	"testing"

	"patchbay/actors/call"
)

func names(cs []call.Codec) (all []string) {
	for _, c := range cs {
		all = append(all, c.Name)
	}
	return all
}

func TestAnOfferHasTheCodecsOfItsPolicyInOrder(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ policy, codecs, rates []string }{
		{nil, []string{"opus", "PCMU", "PCMA", "G722"}, []string{"8000", "48000"}},
		{[]string{"g722", "pcma", "G722"}, []string{"G722", "PCMA"}, []string{"8000"}},
		{[]string{"Opus"}, []string{"opus"}, []string{"48000"}},
		{[]string{"iLBC"}, nil, nil},
	} {
		codecs, dtmf := call.Formats(tc.policy)
		var rates []string
		for _, e := range dtmf {
			rates = append(rates, map[uint32]string{8000: "8000", 48000: "48000"}[e.ClockRate])
		}
		if !slices.Equal(names(codecs), tc.codecs) || !slices.Equal(rates, tc.rates) {
			t.Errorf("%v: codecs %v, digits at %v; want %v, %v", tc.policy, names(codecs), rates, tc.codecs, tc.rates)
		}
	}
}

func TestAStatusHasItsCause(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]call.Cause{
		486: call.CauseCalledBusy, 600: call.CauseCalledBusy, 408: call.CauseCalledNoAnswer, 480: call.CauseCalledUnavailable,
		603: call.CauseCalledDeclined, 404: call.CauseCalledNotFound, 407: call.CauseCredentials, 488: call.CauseNoCodec,
		302: call.CauseCalledRedirected, 500: call.CauseCalledFailed, 699: call.CauseCalledFailed,
	} {
		if got := call.CauseOfStatus(status); got != want {
			t.Errorf("%d: %v, want %v", status, got, want)
		}
	}
}
