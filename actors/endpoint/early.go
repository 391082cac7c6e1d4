package endpoint

import "time"

// What the carrier of a call hears before the answer (docs/adr/0027), and what
// becomes of a call whose agent is heard and does not say.
const (
	EarlyNone     = "none"     // nothing of ours: it gets 180
	EarlyRingback = "ringback" // 183 with SDP, and a ringing tone until the answer
	EarlyAgent    = "agent"    // 183 with SDP, and the agent, which says when the call is answered

	EarlyAnswer = "answer"
	EarlyReject = "reject"
)

// Ringing tones: frequencies in Hz and the rhythm of their country.
const (
	TonesUS = "us" // 440 and 480, 2 s of 6
	TonesEU = "eu" // 425, 1 s of 5
	TonesUK = "uk" // 400 and 450, twice 0.4 s of 3
)

// Limits of early media, milliseconds.
const (
	// DefaultEarlyMs is how long an agent may be heard before the answer where
	// its endpoint does not say, MinEarlyMs and MaxEarlyMs what one may say.
	DefaultEarlyMs = 30_000
	MinEarlyMs     = 1_000
	MaxEarlyMs     = 120_000
)

// An EarlyPolicy is what an endpoint's carriers hear before the answer. The zero
// value is nothing.
type EarlyPolicy struct {
	EarlyMedia        string `json:"early_media,omitempty"`          // what carriers hear before the answer: none, ringback, agent; absent: none
	RingbackTone      string `json:"ringback_tone,omitempty"`        // of ringback: us, eu, uk; absent: us
	EarlyMediaLimitMs int64  `json:"early_media_limit_ms,omitempty"` // of agent: longest time that it is heard before the answer, 1,000 to 120,000; absent: 30,000
	EarlyMediaEnd     string `json:"early_media_end,omitempty"`      // what then: answer, reject; absent: answer
}

func (p *EarlyPolicy) validate(ps *problems) {
	ps.word("early_media", p.EarlyMedia, "", EarlyNone, EarlyRingback, EarlyAgent)
	ps.word("ringback_tone", p.RingbackTone, "", TonesUS, TonesEU, TonesUK)
	ps.word("early_media_end", p.EarlyMediaEnd, "", EarlyAnswer, EarlyReject)
	if p.EarlyMediaLimitMs != 0 {
		ps.between("early_media_limit_ms", p.EarlyMediaLimitMs, MinEarlyMs, MaxEarlyMs)
	}
}

// Early returns the policy of a call, nil where its carrier hears nothing before
// the answer.
func (e *Endpoint) Early() *EarlyPolicy {
	if e == nil || e.EarlyMedia == "" || e.EarlyMedia == EarlyNone {
		return nil
	}
	p := e.EarlyPolicy
	return &p
}

// Tone is the ringing tone of the policy's calls; "": they have none.
func (p *EarlyPolicy) Tone() string {
	switch {
	case p == nil || p.EarlyMedia != EarlyRingback:
		return ""
	case p.RingbackTone == "":
		return TonesUS
	}
	return p.RingbackTone
}

// Limit is how long an agent may be heard before the answer.
func (p *EarlyPolicy) Limit() time.Duration {
	if p.EarlyMediaLimitMs > 0 {
		return time.Duration(p.EarlyMediaLimitMs) * time.Millisecond
	}
	return DefaultEarlyMs * time.Millisecond
}
