// Package telemetry is what a node shows of itself: its logger and its
// Prometheus metrics.
//
// It is an observer: nothing here decides anything. Labels are small closed
// sets; slugs, numbers, addresses and call ids never become one.
package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"patchbay/config"
)

// Logger returns the node's logger. level is one of debug, info, warn, error;
// format json or text.
func Logger(w io.Writer, cfg config.Log) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(strings.ToUpper(cfg.Level))); err != nil {
		return nil, fmt.Errorf("log.level %q: want debug, info, warn or error", cfg.Level)
	}
	opts := &slog.HandlerOptions{Level: level}
	switch cfg.Format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	}
	return nil, fmt.Errorf("log.format %q: want json or text", cfg.Format)
}

// Metrics are the node's counters, gauges and histograms, in a registry of
// their own.
type Metrics struct {
	registry *prometheus.Registry

	Decisions   *prometheus.CounterVec   // action, reason
	Setup       *prometheus.HistogramVec // stage
	CallsEnded  *prometheus.CounterVec   // cause, ended_by
	Packets     *prometheus.CounterVec   // what: received, sent, lost, filled, rejected
	SIPIn       *prometheus.CounterVec   // transport
	SIPAnswered *prometheus.CounterVec   // status
	SIPDropped  *prometheus.CounterVec   // why
	Panics      *prometheus.CounterVec   // where
	Events      *prometheus.CounterVec   // fate: words of cluster/ledger
	Records     *prometheus.CounterVec   // fate: likewise
	Bus         *prometheus.CounterVec   // what: owner, fallback, timeout, dropped
	Deliveries  *prometheus.CounterVec   // result: taken, failed; of what is given up: dead, dropped
	Connections *prometheus.GaugeVec     // transport
	Names       *prometheus.CounterVec   // type, outcome: ok, none, failed
	Requests    *prometheus.CounterVec   // face, route, method, status
	RequestTime *prometheus.HistogramVec // face, route
}

// New returns a node's metrics.
func New() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.Decisions = m.counter(NameDecisions, "Verdicts on initial INVITEs.", "action", "reason")
	m.Setup = m.histogram(NameSetup, "Seconds from INVITE to a stage of the call.", "stage")
	m.CallsEnded = m.counter(NameCallsEnded, "Calls that ended.", "cause", "ended_by")
	m.Packets = m.counter(NamePackets, "RTP packets of carrier legs, counted when a call ends.", "what")
	m.SIPIn = m.counter(NameSIPIn, "SIP messages received.", "transport")
	m.SIPAnswered = m.counter(NameSIPAnswered, "Stateless answers of the edge.", "status")
	m.SIPDropped = m.counter(NameSIPDropped, "SIP messages dropped by the edge.", "why")
	m.Panics = m.counter(NamePanics, "Panics contained; each cost one message.", "where")
	m.Events = m.counter(NameEvents, "Events of calls, by what became of them; lost ones are gone.", "fate")
	m.Records = m.counter(NameRecords, "Records of calls, by what became of them; lost ones are gone.", "fate")
	m.Bus = m.counter(NameBus, "What went wrong between nodes, and reads of the store.", "what")
	m.Requests = m.counter(NameRequests, "Requests over HTTP, of the API's faces and agents that dial in.", "face", "route", "method", "status")
	m.RequestTime = m.histogram(NameRequestTime, "Seconds that those requests took.", "face", "route")
	m.Deliveries = m.counter(NameDeliveries, "Tries to tell webhooks of events, and deliveries given up.", "result")
	m.Names = m.counter(NameNames, "Questions to name servers about SIP hosts.", "type", "outcome")
	m.Connections = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: NameConnections, Help: "SIP stream connections now."}, []string{"transport"})
	m.registry.MustRegister(m.Connections)
	return m
}

// Names of metrics. They never change.
const (
	NameDecisions   = "patchbay_decisions_total"
	NameSetup       = "patchbay_setup_seconds"
	NameCallsEnded  = "patchbay_calls_ended_total"
	NameCallsLive   = "patchbay_calls_live"
	NamePackets     = "patchbay_rtp_packets_total"
	NameSIPIn       = "patchbay_sip_received_total"
	NameSIPAnswered = "patchbay_sip_answered_total"
	NameSIPDropped  = "patchbay_sip_dropped_total"
	NamePanics      = "patchbay_panics_total"
	NameEvents      = "patchbay_events_total"
	NameRecords     = "patchbay_records_total"
	NameSpoolBytes  = "patchbay_spool_bytes"

	NameEventsWaiting  = "patchbay_ledger_waiting_events"
	NameRecordsWaiting = "patchbay_ledger_waiting_records"
	NameEventsSpooled  = "patchbay_spool_events"
	NameRecordsSpooled = "patchbay_spool_records"

	NameDeliveries     = "patchbay_hooks_total"
	NameHooksWaiting   = "patchbay_hooks_waiting"
	NameHooksOldest    = "patchbay_hooks_oldest_seconds"
	NameHooksSuspended = "patchbay_hooks_suspended"
	NameHooksFull      = "patchbay_hooks_full"

	NameBus         = "patchbay_bus_total"
	NameMailbox     = "patchbay_mailbox_depth"
	NamePartitions  = "patchbay_partitions_owned"
	NamePorts       = "patchbay_rtp_ports_in_use"
	NameConnections = "patchbay_sip_connections"
	NameRequests    = "patchbay_http_requests_total"
	NameNames       = "patchbay_dns_questions_total"
	NameRequestTime = "patchbay_http_request_seconds"
)

// setupBuckets, in seconds: a call is set up in milliseconds, or waits for an
// agent for up to 20 s.
var setupBuckets = []float64{.001, .0025, .005, .01, .02, .03, .05, .1, .2, .5, 1, 2, 5, 10, 20, 30}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) histogram(name, help string, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: setupBuckets}, labels)
	m.registry.MustRegister(h)
	return h
}

// Gauge exposes a value that is read when metrics are scraped.
func (m *Metrics) Gauge(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// Handler serves the metrics in Prometheus' text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
