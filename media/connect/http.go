package connect

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/internal/dialguard"
	"patchbay/media"
	"patchbay/media/peer"
)

// Bounds of the connection pool.
const (
	maxIdlePerHost  = 16
	maxConnsPerHost = 64
	maxIdle         = 256
	idleTimeout     = 90 * time.Second
	dialTimeout     = 3 * time.Second
	maxReplyHeader  = 16 << 10
)

// Unseal opens a secret at rest.
type Unseal func(endpoint.SecretRef) (string, error)

// HTTP is the connector that POSTs our offer to a URL.
type HTTP struct {
	stack  *peer.Stack
	client *http.Client
	unseal Unseal
	ending sync.WaitGroup // requests that end sessions
}

// NewHTTP returns the connector. guard says which addresses may be dialled.
func NewHTTP(s *peer.Stack, guard dialguard.Guard, unseal Unseal) *HTTP {
	transport := &http.Transport{
		DialContext:            guard.Dialer(dialTimeout).DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		MaxConnsPerHost:        maxConnsPerHost,
		IdleConnTimeout:        idleTimeout,
		TLSHandshakeTimeout:    dialTimeout,
		MaxResponseHeaderBytes: maxReplyHeader,
		HTTP2:                  dialguard.Pings(),
	}
	return &HTTP{stack: s, unseal: unseal, client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close waits for requests that end sessions and drops idle connections.
func (h *HTTP) Close() {
	h.ending.Wait()
	h.client.CloseIdleConnections()
}

// Join implements [media.Connector].
func (h *HTTP) Join(ctx context.Context, req media.JoinRequest, chosen func(worker string)) (media.AgentLeg, error) {
	d := dialects[req.Agent.WebRTC.Dialect]
	if d == nil {
		return nil, fmt.Errorf("%w: dialect %.16q is not served", media.ErrAgentUnreachable, req.Agent.WebRTC.Dialect)
	}
	x, err := h.exchange(req.Agent.WebRTC, d)
	if err != nil {
		return nil, err
	}
	leg := &httpLeg{Peer: newPeer(h.stack, req, d.channelOf(req.Agent.WebRTC), d.silent), x: x}
	if err := leg.join(ctx, req, chosen); err != nil {
		leg.Close(causeOf(err))
		return nil, err
	}
	return leg, nil
}

// An httpLeg is a peer that an HTTP agent answered for.
type httpLeg struct {
	*peer.Peer
	greeting
	x       *exchange
	session string // as the answer named it
	ending  sync.Once
}

func (l *httpLeg) join(ctx context.Context, req media.JoinRequest, chosen func(string)) error {
	sdp, err := offer(ctx, l.Peer)
	if err != nil {
		return err
	}
	a, err := l.x.ask(ctx, question{sdp: sdp, inv: invitation(req), tools: req.Agent.WebRTC.CallTools})
	if err != nil {
		return err
	}
	l.session, l.headers = a.SessionID, a.Headers
	if l.x.dialect.twoWay && oneWay(a.SDP) {
		return fmt.Errorf("%w: its answer carries audio one way only", media.ErrAgentRefused)
	}
	chosen(a.WorkerID)
	return finish(ctx, l.Peer, a.SDP)
}

// oneWay reports an answer for the one audio stream of our offer that is not
// sendrecv (RFC 8866 section 6.7; sendrecv is what goes without saying).
func oneWay(sdp string) bool {
	for line := range strings.Lines(sdp) {
		switch strings.TrimSpace(line) {
		case "a=sendonly", "a=recvonly", "a=inactive":
			return true
		}
	}
	return false
}

// Notify implements [media.AgentLeg], in words that the agent's stack has.
func (l *httpLeg) Notify(event []byte) {
	if l.x.dialect.event != nil {
		if event = l.x.dialect.event(event); event == nil {
			return
		}
	}
	l.Peer.Notify(event)
}

// Close implements [media.AgentLeg]. Where the dialect has a request for it, the
// agent is told over HTTP too.
func (l *httpLeg) Close(cause call.Cause) {
	l.ending.Do(func() { l.x.end(l.session) })
	l.Peer.Close(cause)
}
