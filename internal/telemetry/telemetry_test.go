package telemetry_test

import (
	"io"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"patchbay/config"
	"patchbay/internal/telemetry"
)

func TestEveryMetricIsExposedUnderItsName(t *testing.T) {
	m := telemetry.New()
	m.Gauge(telemetry.NameCallsLive, "Calls now.", func() float64 { return 3 })
	m.Decisions.WithLabelValues("reject", "unknown_endpoint").Inc()
	m.Setup.WithLabelValues("answered").Observe(0.012)
	m.CallsEnded.WithLabelValues("normal_clearing", "carrier").Inc()
	m.Requests.WithLabelValues("native", "/v1/agents/{id}", "GET", "200").Inc()
	m.RequestTime.WithLabelValues("native", "/v1/agents/{id}").Observe(0.001)
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	body, _ := io.ReadAll(rec.Body)
	for _, want := range []string{
		`patchbay_calls_live 3`,
		`patchbay_decisions_total{action="reject",reason="unknown_endpoint"} 1`,
		`patchbay_setup_seconds_bucket{stage="answered",le="0.02"} 1`,
		`patchbay_calls_ended_total{cause="normal_clearing",ended_by="carrier"} 1`,
		`patchbay_http_requests_total{face="native",method="GET",route="/v1/agents/{id}",status="200"} 1`,
		`patchbay_http_request_seconds_count{face="native",route="/v1/agents/{id}"} 1`,
		`go_goroutines`,
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	for _, name := range regexp.MustCompile(`(?m)^(patchbay_\w+?)(_bucket|_sum|_count)?[{ ]`).FindAllStringSubmatch(string(body), -1) {
		if !strings.HasPrefix(name[1], "patchbay_") {
			t.Errorf("%s is not one of ours", name[1])
		}
	}
}

func TestLoggerRefusesWhatItDoesNotKnow(t *testing.T) {
	for name, cfg := range map[string]config.Log{
		"level":  {Level: "loud", Format: "json"},
		"format": {Level: "info", Format: "xml"},
	} {
		if _, err := telemetry.Logger(io.Discard, cfg); err == nil || !strings.Contains(err.Error(), "log."+name) {
			t.Errorf("%s: got %v, want an error that names the setting", name, err)
		}
	}
	if _, err := telemetry.Logger(io.Discard, config.Log{Level: "debug", Format: "text"}); err != nil {
		t.Error(err)
	}
}
