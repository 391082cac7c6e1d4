package caller_test

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"patchbay/internal/caller"
)

func TestTargetsAreReadFromSIPURIs(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]caller.Target{
		"sip:demo@127.0.0.1":                    {URI: "sip:demo@127.0.0.1", Addr: netip.MustParseAddrPort("127.0.0.1:5060"), Transport: "udp"},
		"sip:demo@127.0.0.1:5070;transport=tcp": {URI: "sip:demo@127.0.0.1:5070;transport=tcp", Addr: netip.MustParseAddrPort("127.0.0.1:5070"), Transport: "tcp"},
		"sip:demo@[::1]:5070":                   {URI: "sip:demo@[::1]:5070", Host: "::1", Addr: netip.MustParseAddrPort("[::1]:5070"), Transport: "udp"},
		"sip:demo@127.0.0.1;transport=tls":      {URI: "sip:demo@127.0.0.1;transport=tls", Addr: netip.MustParseAddrPort("127.0.0.1:5061"), Transport: "tls"},
		"sips:demo@127.0.0.1":                   {URI: "sips:demo@127.0.0.1", Addr: netip.MustParseAddrPort("127.0.0.1:5061"), Transport: "tls"},
		"sip:demo@127.0.0.1:5066;transport=ws":  {URI: "sip:demo@127.0.0.1:5066;transport=ws", Addr: netip.MustParseAddrPort("127.0.0.1:5066"), Transport: "ws"},
		"sips:demo@127.0.0.1;transport=ws":      {URI: "sips:demo@127.0.0.1;transport=ws", Addr: netip.MustParseAddrPort("127.0.0.1:443"), Transport: "wss"},
		"sip:demo@127.0.0.1;transport=wss":      {URI: "sip:demo@127.0.0.1;transport=ws", Addr: netip.MustParseAddrPort("127.0.0.1:443"), Transport: "wss"},
	} {
		want.User = "demo"
		if want.Host == "" {
			want.Host = "127.0.0.1"
		}
		got, err := caller.ParseTarget(uri, netip.AddrPort{})
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", uri, got, err, want)
		}
	}
}

func TestABadTargetIsRefusedWithoutRepeatingItsUser(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{"demo-secret@host", "sip:demo-secret", "tel:+15550100", "sip:demo-secret@127.0.0.1;transport=sctp", "sip:demo-secret@127.0.0.1:99999"} {
		_, err := caller.ParseTarget(uri, netip.AddrPort{})
		if err == nil {
			t.Errorf("%s: accepted", uri)
			continue
		}
		if strings.Contains(err.Error(), "demo-secret") {
			t.Errorf("the error repeats the user part: %v", err)
		}
	}
}

func TestACodecWithoutAnEncoderNeedsPayloads(t *testing.T) {
	t.Parallel()
	for codec, want := range map[string]string{"opus": "no encoder", "GSM": "speaks G722, PCMA, PCMU, opus"} {
		_, err := caller.Call(t.Context(), caller.Options{URI: "sip:demo@127.0.0.1:9", Codecs: []string{codec}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", codec, err, want)
		}
	}
}

func TestWhatWasHeardIsAValidWAVFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "heard.wav")
	if err := caller.WriteWAV(path, 8000, []int16{1, -2, 3}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []byte("RIFF\x2a\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data\x06\x00\x00\x00\x01\x00\xfe\xff\x03\x00")
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}
