package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors"
	"patchbay/actors/endpoint"
	"patchbay/cluster/stats"
	"patchbay/cluster/stream"
	"patchbay/internal/golden"
	"patchbay/internal/testkit"
)

func TestTheEventOfARejection(t *testing.T) {
	d := actors.Decision{ID: "4qeldqq80a23pro6", Key: "3budekg4vjymiswyb6olnisa4y", Tenant: "acme",
		Source: netip.MustParseAddrPort("203.0.113.7:5060"), Transport: "udp",
		Verdict: endpoint.Verdict{Action: endpoint.Reject, Status: 403, Reason: endpoint.ReasonSourceNotAllowed, Rule: endpoint.RuleSource},
		Shown:   endpoint.Shown{Status: 404}}
	text, err := json.MarshalIndent(rejection(&d, time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, "testdata/events/call.rejected.json", append(text, '\n'))
}

func TestWhatIsCountedOfAnEndpoint(t *testing.T) {
	js, err := jetstream.New(testkit.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	b, err := stats.Open(t.Context(), js, stream.Terms{})
	if err != nil {
		t.Fatal(err)
	}
	c := stats.NewCounter(b, "n1", 1, slog.New(slog.DiscardHandler))
	told := 0
	decided := counting(actors.EndpointObserver{Decided: func(actors.Decision) { told++ }}, c).Decided
	of := func(key endpoint.Key, tenant string, v endpoint.Verdict) {
		decided(actors.Decision{Key: key, Tenant: tenant, Verdict: v})
	}
	began := time.Now()
	accept := endpoint.Verdict{Action: endpoint.Accept}
	of("k1", "acme", accept)
	of("k1", "acme", endpoint.Verdict{Action: endpoint.Consult})
	of("k1", "acme", endpoint.Verdict{Status: 486, Reason: endpoint.ReasonRate})
	of("stranger", "", endpoint.Verdict{Status: 404, Reason: endpoint.ReasonUnknown})
	of("nobody", "acme", endpoint.Verdict{Status: 404, Reason: endpoint.ReasonUnknown})
	if err := c.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	all, err := b.Read(t.Context(), []stats.ID{{Key: "k1"}, {Key: "stranger"}, {Key: "nobody"}})
	if err != nil || len(all) != 1 || all["k1"].Calls != 2 || all["k1"].Rejected != 1 || all["k1"].LastCallAt.Before(began) {
		t.Errorf("got %+v, %v", all, err)
	}
	if told != 5 {
		t.Errorf("%d decisions told", told)
	}
}

func TestMomentsAreTimesOrDurationsAgo(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{"": {}, "24h": now.Add(-24 * time.Hour), "2026-11-01T00:00:00Z": now.AddDate(0, 0, -20).Add(-12 * time.Hour)} {
		if got, err := moment(now, "--since", text); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "-1h", "2026-11-01"} {
		if _, err := moment(now, "--since", text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}
