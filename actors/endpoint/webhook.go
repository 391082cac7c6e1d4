package endpoint

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of webhooks that hear of events.
const (
	MaxWebhooks   = 100 // of one account
	MaxWebhookURL = 512 // bytes
	maxEventNames = 32  // of one webhook
)

// A Webhook is a URL that hears of events: of the whole account, or of the
// calls of one agent.
type Webhook struct {
	V         int             `json:"v"`
	ID        string          `json:"id"` // UUID
	Tenant    string          `json:"tenant"`
	ProjectID string          `json:"project_id,omitempty"`
	AgentID   *string         `json:"agent_id,omitempty"` // nil: all of the account's calls
	URL       string          `json:"url"`
	Kind      WebhookKind     `json:"kind"`
	Events    []string        `json:"events"`
	Secrets   []WebhookSecret `json:"secrets,omitempty"` // each signs
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
	Revision  Revision        `json:"-"`
}

// A WebhookSecret is one of the secrets that sign what is sent. While an owner
// changes it there are two.
type WebhookSecret struct {
	ID        string    `json:"id"` // names it to its owner
	Secret    SecretRef `json:"secret"`
	CreatedAt time.Time `json:"created_at"`
}

// A WebhookKind says whose words, bodies and signatures a webhook has.
type WebhookKind string

// Kinds of webhooks. Their words never change.
const (
	WebhookNative   WebhookKind = KindOfNative
	WebhookYappr    WebhookKind = KindOfYappr
	WebhookUltravox WebhookKind = KindOfUltravox
)

// AllEvents is the name that stands for every event.
const AllEvents = "*"

// Events that webhooks hear of, by kind, as that kind names them.
var eventNames = map[WebhookKind][]string{
	WebhookNative: {AllEvents, "call.started", "call.ruled", "call.ringing", "call.early_media", "call.answered", "call.held", "call.resumed", "call.ended", "call.record", "call.rejected",
		"dtmf", "agent.failed", "agent.left", "agent.joined", "call.transferring", "call.transferred", "call.transfer_failed", "call.moved", "call.referred",
		"call.refer_failed", "webhook.dead"},
	WebhookUltravox: {"call.started", "call.joined", "call.ended", "call.billed"},
	WebhookYappr:    {"call.started", "call.answered", "call.ended", "call.failed", "call.no_answer"},
}

// unservedEvents are names that a vendor documents and nothing here brings
// about.
var unservedEvents = map[WebhookKind][]string{
	WebhookYappr: {"call.analyzed", "call.dnc_blocked", "transcript.ready"},
}

// EventNames are the events of a kind that a webhook can hear of.
func EventNames(kind WebhookKind) []string { return slices.Clone(eventNames[kind]) }

// Webhook is the agent's own: it hears of the agent's calls, and nothing that it
// is sent is signed. False: it has none.
func (a *Agent) Webhook() (Webhook, bool) {
	if a.WebhookURL == nil {
		return Webhook{}, false
	}
	w := Webhook{V: currentVersion, ID: a.ID, Tenant: a.Tenant, AgentID: &a.ID, URL: *a.WebhookURL, Events: a.WebhookEvents, Kind: a.WebhookKind}
	if w.Kind == "" {
		w.Kind = WebhookNative
	}
	return w, true
}

// validateWebhook checks the agent's own webhook. Whether it may be http:// is
// looked at where the agent is made.
func (a *Agent) validateWebhook(ps *problems) {
	w, ok := a.Webhook()
	switch {
	case !ok && len(a.WebhookEvents) > 0:
		ps.add("webhook_url", CodeRequired, "want the URL that takes the events")
	case !ok && a.WebhookKind != "":
		ps.add("webhook_kind", CodeInvalid, "belongs to webhook_url")
	case !ok:
	case w.Kind == WebhookUltravox:
		ps.add("webhook_kind", CodeInvalid, "Ultravox's events are signed: make a webhook with agent_id, which has a secret")
	default:
		ps.eventURL("webhook_url", w.URL, true)
		if ps.webhookKind("webhook_kind", w.Kind) {
			ps.eventNames("webhook_events", w.Kind, w.Events)
		}
	}
}

// Wants reports whether the webhook is for the event of that name.
func (w *Webhook) Wants(name string) bool {
	return slices.Contains(w.Events, name) || slices.Contains(w.Events, AllEvents)
}

// Validate returns every mistake that keeps the webhook from being stored.
// plain: http:// is allowed, too.
func (w *Webhook) Validate(plain bool) []Problem {
	var ps problems
	ps.between("v", int64(w.V), currentVersion, currentVersion)
	ps.uuid("id", w.ID)
	ps.tenant("tenant", w.Tenant)
	if w.AgentID != nil {
		ps.uuid("agent_id", *w.AgentID)
	}
	ps.eventURL("url", w.URL, plain)
	if ps.webhookKind("kind", w.Kind) {
		ps.eventNames("events", w.Kind, w.Events)
	}
	if n := len(w.Secrets); n > MaxWebhookSecrets {
		ps.add("secrets", CodeTooMany, "%d secrets, want at most %d", n, MaxWebhookSecrets)
	}
	if len(w.Secrets) == 0 && w.Kind != WebhookYappr {
		ps.add("secrets", CodeRequired, "want 1 to %d secrets", MaxWebhookSecrets)
	}
	return ps
}

// eventURL checks the URL of a receiver of events.
func (ps *problems) eventURL(field, url string, plain bool) {
	switch {
	case url == "":
		ps.add(field, CodeRequired, "want the URL that takes the events")
	case len(url) > MaxWebhookURL:
		ps.add(field, CodeTooLong, "%d bytes, want at most %d", len(url), MaxWebhookURL)
	case !isHTTP(url):
		ps.add(field, CodeInvalid, "want https:// with a host and without credentials")
	case !plain && !strings.HasPrefix(url, "https://"):
		ps.add(field, CodeInvalid, "want https://: this node sends events over TLS only")
	}
}

func (ps *problems) webhookKind(field string, kind WebhookKind) bool {
	switch kind {
	case WebhookNative, WebhookYappr, WebhookUltravox:
		return true
	case KindOfSignalWire, KindOfVobiz:
		ps.add(field, CodeNotSupported, "events in the form of %s are not sent yet", kind)
		return false
	}
	return ps.word(field, string(kind), string(WebhookNative), string(WebhookYappr), string(WebhookUltravox))
}

func (ps *problems) eventNames(field string, kind WebhookKind, names []string) {
	switch n := len(names); {
	case n == 0:
		ps.add(field, CodeRequired, "want the events, any of %q", eventNames[kind])
		return
	case n > maxEventNames:
		ps.add(field, CodeTooMany, "%d events, want at most %d", n, maxEventNames)
		return
	}
	for i, name := range names {
		at := field + "[" + strconv.Itoa(i) + "]"
		switch {
		case slices.Contains(unservedEvents[kind], name):
			ps.add(at, CodeNotSupported, "%s is not sent yet", name)
		case !slices.Contains(eventNames[kind], name):
			ps.add(at, CodeInvalid, "want one of %q", eventNames[kind])
		case slices.Index(names, name) < i:
			ps.add(at, CodeDuplicate, "%s is there twice", name)
		}
	}
}

// Webhooks names the webhooks of an account: whoever has an event asks there
// who wants it.
type Webhooks struct {
	V   int      `json:"v"`
	IDs []string `json:"ids"`
}
