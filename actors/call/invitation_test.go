package call_test

import (
	"strings"
	"testing"

	"patchbay/actors/call"
)

func TestHeadersThatAreToldAreBoundedInNumberAndBytes(t *testing.T) {
	t.Parallel()
	header := func(bytes int) call.Header { return call.Header{Name: "X-A", Value: strings.Repeat("v", bytes-3)} }
	for name, tc := range map[string]struct {
		has  []call.Header
		told int
	}{
		"none":              {nil, 0},
		"all":               {[]call.Header{header(10), header(20)}, 2},
		"as many as may be": {repeat(header(4), call.ToldHeaders), call.ToldHeaders},
		"one more":          {repeat(header(4), call.ToldHeaders+1), call.ToldHeaders},
		"as long as may be": {repeat(header(call.ToldHeaderBytes/8), 8), 8},
		"one byte longer":   {append(repeat(header(call.ToldHeaderBytes/8), 7), header(call.ToldHeaderBytes/8+1), header(4)), 7},
	} {
		inv := call.Invitation{Headers: tc.has}
		if got := inv.Told(); len(got) != tc.told {
			t.Errorf("%s: %d are told, want %d", name, len(got), tc.told)
		}
	}
}

func repeat(h call.Header, n int) (all []call.Header) {
	for range n {
		all = append(all, h)
	}
	return all
}

// A call that goes on for another has one hop less: a circle of transfers ends.
func TestACircleOfTransfersEnds(t *testing.T) {
	t.Parallel()
	inv, calls := call.Invitation{MaxForwards: 70}, 0
	for ok := true; ok; calls++ {
		inv.MaxForwards, ok = inv.Onward()
	}
	if calls != 70 {
		t.Errorf("%d calls before the circle ends", calls)
	}
	if hops, ok := (call.Invitation{}).Onward(); hops != 0 || !ok {
		t.Errorf("of an INVITE that says nothing: %d, %t", hops, ok)
	}
}
