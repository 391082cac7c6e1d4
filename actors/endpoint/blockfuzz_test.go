package endpoint_test

import (
	"testing"

	"patchbay/actors/endpoint"
)

// FuzzParseBlock wants every source that is read to be canonical: its text reads
// back as itself.
func FuzzParseBlock(f *testing.F) {
	for _, s := range []string{"203.0.113.7", "203.0.113.9/28", "::ffff:203.0.113.0/120", "2001:db8::/32", "fe80::1%eth0", "0x7f.1", "1.2.3.4/33", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		source, err := endpoint.ParseBlock(text)
		if err != nil {
			return
		}
		again, err := endpoint.ParseBlock(source.String())
		if err != nil || again != source || source != source.Masked() || source.Addr().Is4In6() || source.Addr().Zone() != "" {
			t.Errorf("%q reads as %s, and that as %s, %v", text, source, again, err)
		}
	})
}
