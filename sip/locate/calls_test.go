package locate_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/internal/testkit/zone"
	"patchbay/sip/locate"
)

func TestTheHopsOfACallAreFoundEachByItsTarget(t *testing.T) {
	t.Parallel()
	z := zone.Start(t, `_sip._udp.carrier.test. 60 IN SRV 10 0 5070 a.carrier.test.`, `_sip._udp.carrier.test. 60 IN SRV 20 0 5080 b.carrier.test.`,
		`a.carrier.test. 60 IN A 192.0.2.1`, `b.carrier.test. 60 IN AAAA 2001:db8::2`)
	var log bytes.Buffer
	calls := locator(t, locate.Config{}, z).ForCalls(slog.New(slog.NewTextHandler(&log, nil)))
	found := make(chan [][]call.Hop, 1)
	calls.Locate([]call.Target{{Host: "carrier.test"}, {Host: "nowhere.test"}, {Host: "192.0.2.9", Transport: call.TLS}},
		func(all [][]call.Hop) { found <- all })
	select {
	case all := <-found:
		for i, want := range []string{"udp 192.0.2.1:5070, udp [2001:db8::2]:5080", "", "tls 192.0.2.9:5061"} {
			if got := spell(all[i]); got != want {
				t.Errorf("target %d leads to %q, want %q", i, got, want)
			}
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was found")
	}
	if line := log.String(); !strings.Contains(line, "host=nowhere.test") {
		t.Errorf("why a name leads nowhere is not in the log: %s", line)
	}
}
