package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/cluster"
	"patchbay/config"
	"patchbay/control"
	"patchbay/control/dialects/ultravox"
	"patchbay/control/dialects/yappr"
	"patchbay/control/gateway"
	"patchbay/internal/pki"
	"patchbay/internal/telemetry"
	"patchbay/internal/web"
)

// newKit is what every face of the API is given.
func newKit(g *ground, ops *control.Operations) control.Kit {
	return control.Kit{Do: ops.Within, Count: ops.Count, Verify: g.verify, Rate: ops.Rate,
		Told: func(ctx context.Context, err error) *control.Error {
			return ops.Told(err, g.log.With("request_id", control.AskedOf(ctx).RequestID))
		},
		Host: ops.Host, Domain: ops.Domain, Now: ops.Now, Log: g.log}
}

// facesOf are all faces of the API.
func facesOf(kit control.Kit, ops *control.Operations, sip config.SIP, names ultravox.Names) ([]gateway.Face, error) {
	native, err := gateway.NewNative(kit, ops.Described())
	if err != nil {
		return nil, err
	}
	kit = gateway.Noting(kit)
	return []gateway.Face{native, gateway.Documents(),
		{Name: endpoint.KindOfYappr, Patterns: yappr.Patterns(), Handler: yappr.New(kit, yappr.Settings{Transports: transportsOf(sip)}), Refuse: yappr.Refuse(time.Now)},
		{Name: endpoint.KindOfUltravox, Patterns: ultravox.Patterns(), Handler: ultravox.New(kit, names), Refuse: ultravox.Refuse},
	}, nil
}

// agentName is the name of an agent, as this node knows it; "": it is not known.
func (g *ground) agentName(ctx context.Context, tenant, id string) string {
	a, err := g.store.Agent(ctx, tenant, id)
	if err != nil {
		return ""
	}
	return a.Name
}

// transportsOf are the transports that a PBX may use towards this cluster.
func transportsOf(sip config.SIP) []string {
	all := []string{}
	for _, t := range []struct {
		name string
		open bool
	}{{"udp", sip.UDP != ""}, {"tcp", sip.TCP != ""}, {"tls", sip.TLS != "" && sip.TLSCertificate != ""}} {
		if t.open {
			all = append(all, t.name)
		}
	}
	return all
}

// attachFaces serves the API, and agents that dial in, at the node's web
// listeners.
func attachFaces(g *ground, ops *control.Operations, c *cluster.Commander, w *web.Server, m *telemetry.Metrics) error {
	front := gateway.NewFront(g.cfg.HTTP, g.log, gatewayObserver(g, m), func() bool { return g.started() == nil })
	all, err := facesOf(newKit(g, ops), ops, g.cfg.SIP, g.agentName)
	if err != nil {
		return err
	}
	gate := &control.Gateway{DialIn: dialIn{c}, Verify: g.verify, Agent: g.store.AgentByID, Translate: rim, HTTP: g.cfg.HTTP, Log: g.log}
	for _, face := range append(all, gateway.DialIn(gate)) {
		if err := front.Mount(face); err != nil {
			return err
		}
	}
	w.Mount("/", front)
	if at := g.cfg.HTTP.Listen; !onLoopback(at) && !g.cfg.HTTP.PlainKeys {
		g.log.Info("the API takes no keys over http.listen from other machines: use http.tls_listen", "listen", at)
	}
	return g.secure(w)
}

// gatewayObserver counts what the faces serve.
func gatewayObserver(g *ground, m *telemetry.Metrics) gateway.Observer {
	return gateway.Observer{
		Served: func(face, route, method string, status int, took time.Duration) {
			m.Requests.WithLabelValues(face, route, method, strconv.Itoa(status)).Inc()
			m.RequestTime.WithLabelValues(face, route).Observe(took.Seconds())
		},
		Panicked: func(face string) { m.Panics.WithLabelValues("http-" + face).Inc() },
	}
}

// secure gives the node's web listener its certificate: the operator's, or one
// that the node makes.
func (g *ground) secure(w *web.Server) error {
	cfg := g.cfg.HTTP
	if cfg.TLS == "" {
		return nil
	}
	pair, err := g.webPair()
	if err != nil {
		return fmt.Errorf("http.tls_listen: %w", err)
	}
	w.Secure(pair.Server())
	return nil
}

func (g *ground) webPair() (*pki.Pair, error) {
	if cert := g.cfg.HTTP.TLSCert; cert != "" {
		return pki.OpenPair(cert, g.cfg.HTTP.TLSKey)
	}
	return pki.Own(filepath.Join(g.cfg.Node.DataDir, "https"), webNames(g.cfg.HTTP.TLS, g.cfg.Node.Name), time.Now())
}

// webNames are the names by which clients of this machine and its neighbours
// reach the listener.
func webNames(listen, node string) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	more := []string{node}
	if host, err := os.Hostname(); err == nil {
		more = append(more, host)
	}
	if host, _, err := net.SplitHostPort(listen); err == nil {
		if at, err := netip.ParseAddr(host); err == nil && !at.IsUnspecified() {
			more = append(more, host)
		}
	}
	for _, name := range more {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// onLoopback reports that only this machine reaches an address; it does where
// there is none.
func onLoopback(listen string) bool {
	at, err := netip.ParseAddrPort(listen)
	return listen == "" || err == nil && at.Addr().IsLoopback()
}

var _ http.Handler = (*gateway.Front)(nil)
