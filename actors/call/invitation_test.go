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
