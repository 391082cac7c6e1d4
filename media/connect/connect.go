package connect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/media"
	"patchbay/media/peer"
)

// Defaults of an agent's transport.
const (
	// DefaultTimeout is the longest wait for one answer to an offer.
	DefaultTimeout = 3 * time.Second
	// DefaultAttempts is how many answers are waited for, or refusals for want
	// of room are heard, before a call is given up.
	DefaultAttempts = 2
	// MaxAttempts bounds what an agent's owner may ask for.
	MaxAttempts = 5
	// connectTimeout is the longest an agent's ICE and DTLS may take once it
	// has answered.
	connectTimeout = 10 * time.Second
)

// Pauses between attempts, doubled each time.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
)

func timeout(t endpoint.AgentTransport) time.Duration {
	if t.TimeoutMs <= 0 {
		return DefaultTimeout
	}
	return time.Duration(t.TimeoutMs) * time.Millisecond
}

func attempts(t endpoint.AgentTransport) int {
	if t.Attempts <= 0 {
		return DefaultAttempts
	}
	return min(t.Attempts, MaxAttempts)
}

// newPeer returns a peer for the call. A silent one has no data channel.
func newPeer(s *peer.Stack, req media.JoinRequest, d peer.Dialect, silent bool) *peer.Peer {
	return s.Peer(peer.Wanted{Codecs: req.Codecs, DTMF: req.DTMF, Dialect: d,
		Channel: !silent && req.Agent.WebRTC.DataChannel != "off"})
}

// offer makes our offer, unless the call ends first.
func offer(ctx context.Context, p *peer.Peer) (string, error) {
	sdp, err := p.Offer(ctx)
	if err != nil && ctx.Err() != nil {
		return "", ended(ctx)
	}
	return sdp, err
}

// finish takes the agent's answer and waits for its media.
func finish(ctx context.Context, p *peer.Peer, answer string) error {
	if err := p.Accept(answer); err != nil {
		return err
	}
	return connected(ctx, p)
}

func connected(ctx context.Context, p *peer.Peer) error {
	short, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	err := p.Connected(short)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ended(ctx)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: ICE or DTLS took longer than %v", media.ErrAgentUnreachable, connectTimeout)
	}
	return err
}

// ended is what a join fails with when its time is over or its call is.
func ended(ctx context.Context) error {
	return fmt.Errorf("%w: %w", media.ErrNoAgent, context.Cause(ctx))
}

// causeOf says to the agent why its call never began.
func causeOf(err error) call.Cause {
	switch {
	case errors.Is(err, media.ErrNoCodec):
		return call.CauseNoCodec
	case errors.Is(err, media.ErrNoAgent):
		return call.CauseNoAgent
	}
	return call.CauseAgentFailed
}

// pause waits before attempt number n, counted from 0.
func pause(ctx context.Context, n int) error {
	t := time.NewTimer(min(firstPause<<min(n, 10), lastPause))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ended(ctx)
	}
}
