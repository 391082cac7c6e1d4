package actors

import (
	"context"
	"errors"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// Bounds of what owners' webhooks may hold up.
const (
	// maxConsults is how many webhooks a node asks at once, each in a goroutine
	// of its own; beyond it 503.
	maxConsults = 2048
	// maxConsultsPerEndpoint is how many calls of one endpoint may wait for its
	// owner's webhook; beyond it 486: a slow webhook is its owner's affair.
	maxConsultsPerEndpoint = 64
	// rulingSlack is how much longer than the webhook's own limit a call waits
	// for its ruling: the second decider may be asked a second after the first.
	rulingSlack = 3 * time.Second
)

// A Consultation is all there is to say about one question to an owner's
// webhook, for logs, events and metrics.
type Consultation struct {
	ID      string // of the decision
	Call    call.ID
	Key     endpoint.Key
	Tenant  string
	Agent   string // id; "": refused
	Status  int    // of a refusal
	Reason  endpoint.Reason
	Message string // of the owner's rejection
	Err     error  // why the webhook did not decide
	Took    time.Duration
}

// Consult asks the webhook of an endpoint's owner who answers a call. It is
// asked in a goroutine of its own: the mailbox goes on meanwhile. reply is
// called once, from any goroutine, and must not block.
func (e *Endpoints) Consult(q Question, reply func(Ruling)) {
	p := e.partitions[q.Partition]
	if q.Takeover != nil {
		e.takeover(p, q, reply)
		return
	}
	if q.Referral != nil {
		e.referral(p, q, reply)
		return
	}
	err := p.loop.Tell(func(now time.Time) { p.consult(now, q, reply) })
	if err != nil {
		reply(refusal(endpoint.Unavailable(endpoint.ReasonBusy)))
	}
}

func (p *partition) consult(now time.Time, q Question, reply func(Ruling)) {
	r := p.resident(now, q.Endpoint)
	if r.consulting >= maxConsultsPerEndpoint {
		p.ruled(q, now, refusal(endpoint.Verdict{Status: 486, Reason: endpoint.ReasonWebhookBusy}), nil, "", reply)
		return
	}
	select {
	case p.consults <- struct{}{}:
	default:
		p.ruled(q, now, refusal(endpoint.Unavailable(endpoint.ReasonBusy)), nil, "", reply)
		return
	}
	r.consulting++
	p.asking.Go(func() {
		c := consultation{Endpoints: p.Endpoints, q: q}
		ruling, err := c.hold(int(p.index))
		<-p.consults
		p.ruled(q, now, ruling, err, c.message, reply)
		// ErrStopped: nothing counts any more.
		_ = p.loop.Post(func(time.Time) { p.endpoints[q.Endpoint].consulting-- })
	})
}

// ruled answers and tells the observer.
func (p *partition) ruled(q Question, since time.Time, r Ruling, err error, message string, reply func(Ruling)) {
	reply(r)
	if p.observer.Consulted == nil {
		return
	}
	c := Consultation{ID: q.DecisionID, Call: q.Call, Key: q.Endpoint, Tenant: q.Tenant, Status: r.Status, Reason: r.Reason,
		Message: message, Err: err, Took: time.Since(since)}
	if r.Agent != nil {
		c.Agent = r.Agent.ID
	}
	p.observer.Consulted(c)
}

func refusal(v endpoint.Verdict) Ruling { return Ruling{V: 1, Status: v.Status, Reason: v.Reason} }

// A consultation is one question on its way to a ruling, off every loop.
type consultation struct {
	*Endpoints
	q       Question
	message string // of the owner's rejection
}

// hold asks the webhook and finds the agent that it names.
func (c *consultation) hold(loop int) (r Ruling, err error) {
	defer func() {
		if v := recover(); v != nil {
			r, err = refusal(endpoint.Fault()), errPanicked
			c.host.panicked(loop, v)
		}
	}()
	acct, err := c.account()
	switch {
	case errors.Is(err, endpoint.ErrNotFound), err == nil && acct.SIP.Fallback == nil:
		return refusal(endpoint.Verdict{Status: 404, Reason: endpoint.ReasonNoRoute}), nil
	case err != nil:
		return refusal(endpoint.Unavailable(endpoint.ReasonUnavailable)), err
	case c.fallback == nil:
		return refusal(endpoint.Verdict{Status: 502, Reason: endpoint.ReasonWebhookFailed}), nil
	}
	body, err := question(&c.q).Body()
	if err != nil {
		return refusal(endpoint.Fault()), err
	}
	answer, err := c.fallback.Ask(c.ctx, FallbackRequest{Call: c.q.Call, Tenant: c.q.Tenant, Handler: *acct.SIP.Fallback, Body: body})
	if err != nil {
		return refusal(webhookVerdict(err)), err
	}
	return c.carryOut(&acct, answer)
}

func (c *consultation) account() (endpoint.Account, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.limits.StoreTimeout)
	defer cancel()
	return c.store.Account(ctx, c.q.Tenant)
}

// carryOut turns the webhook's answer into a ruling.
func (c *consultation) carryOut(acct *endpoint.Account, answer endpoint.Answer) (Ruling, error) {
	switch {
	case answer.Reject != nil:
		c.message = answer.Reject.Message
		return refusal(endpoint.Verdict{Status: answer.Reject.Status, Reason: endpoint.ReasonWebhookRejected}), nil
	case answer.Agent != nil:
		a := answer.Agent
		return c.agent(a.AgentID, Ruling{V: 1, Context: a.Context, Metadata: a.Metadata, Settings: a.Settings, Terms: answer.Terms})
	case acct.SIP.StartCallAgent == "":
		return refusal(endpoint.Verdict{Status: 502, Reason: endpoint.ReasonNoStartCallAgent}), nil
	}
	r, err := c.agent(acct.SIP.StartCallAgent, Ruling{V: 1, Terms: answer.Terms})
	if r.Agent != nil {
		r.Agent.WebRTC.Session = answer.StartCall
		for i := range r.Failover {
			r.Failover[i].WebRTC.Session = answer.StartCall
		}
	}
	return r, err
}

// agent adds one of the account's agents to a ruling. One that the account
// does not have is the owner's mistake.
func (c *consultation) agent(id string, r Ruling) (Ruling, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.limits.StoreTimeout)
	defer cancel()
	agent, err := c.store.Agent(ctx, c.q.Tenant, id)
	switch {
	case errors.Is(err, endpoint.ErrNotFound):
		return refusal(endpoint.Verdict{Status: 502, Reason: endpoint.ReasonWebhookAgent}), nil
	case err != nil:
		return refusal(endpoint.Unavailable(endpoint.ReasonUnavailable)), err
	}
	if v := (endpoint.Verdict{Action: endpoint.Accept}).CheckAgent(&agent); v.Action != endpoint.Accept {
		return refusal(v), nil
	}
	r.Agent = &agent
	r.Failover, err = Failover(&agent, func(id string) (*endpoint.Agent, error) {
		return storeSource{ctx: ctx, store: c.store}.agent(c.q.Tenant, id)
	})
	if err != nil {
		return refusal(endpoint.Unavailable(endpoint.ReasonUnavailable)), err
	}
	return r, nil
}

// webhookVerdict is what a carrier is owed for a webhook that did not decide.
func webhookVerdict(err error) endpoint.Verdict {
	var told *WebhookError
	switch {
	case !errors.As(err, &told):
		return endpoint.Unavailable(endpoint.ReasonUnavailable)
	case told.Reason == endpoint.ReasonWebhookTimeout:
		return endpoint.Verdict{Status: 504, Reason: told.Reason}
	}
	return endpoint.Verdict{Status: 502, Reason: told.Reason}
}

// question is what the webhook is told of the call.
func question(q *Question) endpoint.Question {
	said := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	return endpoint.Question{CallerID: said(q.From.User), FromDisplayName: said(q.From.Display), FromURI: said(q.From.URI),
		ToURI: said(q.To.URI), SIPHeaders: endpoint.Headers(headerFields(q.Headers))}
}

func headerFields(headers []call.Header) []endpoint.HeaderField {
	fields := make([]endpoint.HeaderField, len(headers))
	for i, h := range headers {
		fields[i] = endpoint.HeaderField(h)
	}
	return fields
}
