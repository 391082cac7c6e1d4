package control

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"patchbay/actors/endpoint"
)

// A WebhookStore keeps webhooks, as Store does other objects.
type WebhookStore interface {
	CreateWebhook(ctx context.Context, w endpoint.Webhook, terms endpoint.Terms) (endpoint.Revision, error)
	WebhookByID(ctx context.Context, tenant, id string) (endpoint.Webhook, error)
	UpdateWebhook(ctx context.Context, w endpoint.Webhook) (endpoint.Revision, error)
	DeleteWebhook(ctx context.Context, w endpoint.Webhook) error
	Webhooks(ctx context.Context, tenant, cursor string, limit int) (page []endpoint.Webhook, next string, err error)
}

// A WebhookSpec is what an owner may set of a webhook. Secrets read back only
// where webhook.get asks for them; those that are written replace all.
type WebhookSpec struct {
	URL     string               `json:"url"`
	Kind    endpoint.WebhookKind `json:"kind"` // native, yappr or ultravox: words, bodies and signatures
	Events  []string             `json:"events"`
	AgentID *string              `json:"agent_id,omitempty"` // whose calls; absent: all of the account's
	Secrets []string             `json:"secrets,omitempty"`
}

// A WebhookView is a webhook as its owner reads it.
type WebhookView struct {
	ID        string            `json:"id"`
	ProjectID string            `json:"project_id,omitempty"`
	SecretIDs []SecretID        `json:"secret_ids"` // in the order in which they sign
	CreatedAt time.Time         `json:"created_at"`
	UpdatedAt time.Time         `json:"updated_at"`
	Revision  endpoint.Revision `json:"revision"`
	WebhookHealth
	WebhookSpec
}

// A SecretID names a secret without telling it.
type SecretID struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"created_at"`
}

// A NewWebhook is the request of webhook.create.
type NewWebhook struct {
	ID   string          `json:"id,omitempty"` // a UUID of the caller's choice; "": made here
	Spec json.RawMessage `json:"spec"`         // a WebhookSpec over the defaults
}

// newWebhookSpec is what a webhook has unless its owner says otherwise.
func newWebhookSpec() WebhookSpec { return WebhookSpec{Kind: endpoint.WebhookNative} }

// CreateWebhook makes a webhook. Without secrets one is made, and told in the
// reply.
func (o *Operations) CreateWebhook(ctx context.Context, tenant string, in NewWebhook) (WebhookView, error) {
	if before, err := o.repeated(ctx, tenant); err != nil || before.ID != "" {
		return o.webhookAgain(ctx, tenant, before, err)
	}
	spec, err := merge(newWebhookSpec(), in.Spec)
	if err != nil {
		return WebhookView{}, err
	}
	if in.ID == "" {
		in.ID = NewUUID()
	}
	now := o.Now()
	w := endpoint.Webhook{V: 1, ID: in.ID, Tenant: tenant, ProjectID: callOf(ctx, tenant).cred.ProjectID, CreatedAt: now}
	made, err := o.putWebhook(ctx, &w, spec)
	if err != nil {
		return WebhookView{}, err
	}
	if w.Revision, err = o.Webhooks.CreateWebhook(ctx, w, o.terms(ctx, tenant, nil)); err != nil {
		if before, err := repeatOf(err); err == nil {
			return o.webhookAgain(ctx, tenant, before, nil)
		}
		return WebhookView{}, fmt.Errorf("create webhook: %w", err)
	}
	v := webhookViewOf(w, WebhookHealth{Status: HealthNormal})
	v.Secrets = made
	return v, nil
}

// webhookAgain answers a creation that was made before as it was answered then:
// with the secrets, for the caller may not have heard them.
func (o *Operations) webhookAgain(ctx context.Context, tenant string, before endpoint.Repeat, err error) (WebhookView, error) {
	if err != nil {
		return WebhookView{}, err
	}
	w, err := o.Webhooks.WebhookByID(ctx, tenant, before.ID)
	if err != nil {
		return WebhookView{}, again(err)
	}
	return o.webhookView(ctx, w, true)
}

// putWebhook writes spec over w and returns the secret that had to be made, if
// any.
func (o *Operations) putWebhook(ctx context.Context, w *endpoint.Webhook, spec WebhookSpec) (made []string, err error) {
	before := w.AgentID
	w.URL, w.Kind, w.Events, w.AgentID, w.UpdatedAt = spec.URL, spec.Kind, spec.Events, spec.AgentID, o.Now()
	secrets := spec.Secrets
	if secrets == nil && len(w.Secrets) == 0 {
		made = []string{newSigningSecret()}
		secrets = made
	}
	var problems []endpoint.Problem
	if secrets != nil {
		if problems, err = o.sealSecrets(w, secrets); err != nil {
			return nil, err
		}
	}
	if problems = append(problems, w.Validate(o.PlainWebhooks)...); len(problems) > 0 {
		return nil, invalidAll(problems)
	}
	if w.AgentID == nil || before != nil && *before == *w.AgentID {
		return made, nil
	}
	_, err = o.Store.AgentByID(ctx, w.Tenant, *w.AgentID)
	if errors.Is(err, endpoint.ErrNotFound) {
		return nil, invalid("agent_id", "unknown", "no such agent")
	}
	return made, err
}

// sealSecrets gives the webhook these secrets in place of those that it has. One
// that stays keeps its id.
func (o *Operations) sealSecrets(w *endpoint.Webhook, secrets []string) (problems []endpoint.Problem, err error) {
	if len(secrets) > endpoint.MaxWebhookSecrets {
		return []endpoint.Problem{{Field: "secrets", Code: endpoint.CodeTooMany,
			Message: fmt.Sprintf("%d secrets, want at most %d", len(secrets), endpoint.MaxWebhookSecrets)}}, nil
	}
	had, err := o.openSecrets(w)
	if err != nil {
		return nil, err
	}
	all := make([]endpoint.WebhookSecret, 0, len(secrets))
	for i, secret := range secrets {
		if secret == "" || len(secret) > endpoint.MaxWebhookSecret {
			problems = append(problems, endpoint.Problem{Field: fmt.Sprintf("secrets[%d]", i), Code: endpoint.CodeInvalid,
				Message: fmt.Sprintf("want 1 to %d bytes", endpoint.MaxWebhookSecret)})
			all = append(all, endpoint.WebhookSecret{}) // it is named already
			continue
		}
		if at := slices.Index(had, secret); at >= 0 {
			all = append(all, w.Secrets[at])
			continue
		}
		one, err := o.sealSecret(secret)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	w.Secrets = all
	return problems, nil
}

func (o *Operations) sealSecret(secret string) (endpoint.WebhookSecret, error) {
	sealed, err := o.Sealer.Seal(secret)
	if err != nil {
		return endpoint.WebhookSecret{}, fmt.Errorf("seal a secret: %w", err)
	}
	var id [4]byte
	_, _ = rand.Read(id[:])
	return endpoint.WebhookSecret{ID: hex.EncodeToString(id[:]), Secret: sealed, CreatedAt: o.Now()}, nil
}

func (o *Operations) openSecrets(w *endpoint.Webhook) ([]string, error) {
	secrets := make([]string, len(w.Secrets))
	for i, s := range w.Secrets {
		var err error
		if secrets[i], err = o.Sealer.Open(s.Secret); err != nil {
			return nil, fmt.Errorf("open the secrets of webhook %s: %w", w.ID, err)
		}
	}
	return secrets, nil
}

// newSigningSecret returns 256 random bits in the form of Standard Webhooks.
func newSigningSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return "whsec_" + base64.StdEncoding.EncodeToString(b[:])
}

// A WebhookQuery is the request of webhook.get.
type WebhookQuery struct {
	ID      string `json:"id"`
	Secrets bool   `json:"secrets,omitempty"` // its secrets too, for whoever may change them
}

// GetWebhook returns one webhook.
func (o *Operations) GetWebhook(ctx context.Context, tenant string, in WebhookQuery) (WebhookView, error) {
	if err := (ID{in.ID}).check(); err != nil {
		return WebhookView{}, err
	}
	if err := maySeeSecrets(ctx, tenant, in.Secrets); err != nil {
		return WebhookView{}, err
	}
	w, err := o.Webhooks.WebhookByID(ctx, tenant, in.ID)
	if err != nil {
		return WebhookView{}, fmt.Errorf("get webhook %s: %w", in.ID, err)
	}
	return o.webhookView(ctx, w, in.Secrets)
}

func maySeeSecrets(ctx context.Context, tenant string, wanted bool) error {
	if wanted && !callOf(ctx, tenant).cred.Allows(endpoint.ScopeWebhooksManage) {
		return &Error{Code: CodeForbidden, Message: "the key lacks the scope " + endpoint.ScopeWebhooksManage + ", which secrets want"}
	}
	return nil
}

// A WebhookPage is the request of webhook.list.
type WebhookPage struct {
	PageRequest
	Secrets bool `json:"secrets,omitempty"` // their secrets too, for whoever may change them
}

// ListWebhooks returns one page of the tenant's webhooks, oldest first.
func (o *Operations) ListWebhooks(ctx context.Context, tenant string, in WebhookPage) (Page[WebhookView], error) {
	limit, err := in.limit()
	if err != nil {
		return Page[WebhookView]{}, err
	}
	if err := maySeeSecrets(ctx, tenant, in.Secrets); err != nil {
		return Page[WebhookView]{}, err
	}
	all, next, err := o.Webhooks.Webhooks(ctx, tenant, in.Cursor, limit)
	if err != nil {
		return Page[WebhookView]{}, fmt.Errorf("list webhooks: %w", err)
	}
	page := Page[WebhookView]{Items: make([]WebhookView, len(all)), Next: next}
	for i, w := range all {
		if page.Items[i], err = o.webhookView(ctx, w, in.Secrets); err != nil {
			return Page[WebhookView]{}, err
		}
	}
	return page, nil
}

// UpdateWebhook changes a webhook; it counts for all that is sent from now on,
// repetitions too.
func (o *Operations) UpdateWebhook(ctx context.Context, tenant string, in Change) (WebhookView, error) {
	w, err := o.webhookAt(ctx, tenant, in.ID, in.Revision)
	if err != nil {
		return WebhookView{}, fmt.Errorf("update webhook %s: %w", in.ID, err)
	}
	spec, err := merge(webhookSpecOf(w), in.Patch)
	if err != nil {
		return WebhookView{}, err
	}
	made, err := o.putWebhook(ctx, &w, spec)
	if err != nil {
		return WebhookView{}, err
	}
	return o.writeWebhook(ctx, w, made)
}

// A Rotation is the request of webhook.rotate: one secret more, and fewer of
// those that were there.
type Rotation struct {
	ID       string            `json:"id"`
	Revision endpoint.Revision `json:"revision,omitempty"`
	Secret   string            `json:"secret,omitempty"` // "": made here, unless Remove says that this is about an end
	Remove   []string          `json:"remove,omitempty"` // ids of secrets that end; a new one is made only where none is left
}

// RotateWebhook adds a secret, with which everything is signed from now on
// beside the old ones, or removes some. The new one is told in the reply.
func (o *Operations) RotateWebhook(ctx context.Context, tenant string, in Rotation) (WebhookView, error) {
	w, err := o.webhookAt(ctx, tenant, in.ID, in.Revision)
	if err != nil {
		return WebhookView{}, fmt.Errorf("rotate webhook %s: %w", in.ID, err)
	}
	for i, id := range in.Remove {
		at := slices.IndexFunc(w.Secrets, func(s endpoint.WebhookSecret) bool { return s.ID == id })
		if at < 0 {
			return WebhookView{}, invalid(fmt.Sprintf("remove[%d]", i), "unknown", "the webhook has no such secret")
		}
		w.Secrets = slices.Delete(slices.Clone(w.Secrets), at, at+1)
	}
	var made []string
	if len(in.Remove) == 0 || in.Secret != "" || len(w.Secrets) == 0 {
		if in.Secret == "" {
			in.Secret = newSigningSecret()
		}
		made = []string{in.Secret}
		had, err := o.openSecrets(&w)
		if err != nil {
			return WebhookView{}, err
		}
		if problems, err := o.sealSecrets(&w, append(had, in.Secret)); err != nil || len(problems) > 0 {
			return WebhookView{}, errors.Join(err, invalidAll(problems))
		}
	}
	w.UpdatedAt = o.Now()
	return o.writeWebhook(ctx, w, made)
}

// webhookAt reads a webhook that is to be changed, at a revision or at any.
func (o *Operations) webhookAt(ctx context.Context, tenant, id string, rev endpoint.Revision) (endpoint.Webhook, error) {
	if err := (ID{id}).check(); err != nil {
		return endpoint.Webhook{}, err
	}
	w, err := o.Webhooks.WebhookByID(ctx, tenant, id)
	if err == nil && rev != 0 && rev != w.Revision {
		err = endpoint.ErrConflict
	}
	return w, err
}

// writeWebhook replaces a webhook and shows it, with the secrets that were made
// for it.
func (o *Operations) writeWebhook(ctx context.Context, w endpoint.Webhook, made []string) (WebhookView, error) {
	var err error
	if w.Revision, err = o.Webhooks.UpdateWebhook(ctx, w); err != nil {
		return WebhookView{}, fmt.Errorf("update webhook %s: %w", w.ID, err)
	}
	v, err := o.webhookView(ctx, w, false)
	v.Secrets = made
	return v, err
}

// DeleteWebhook removes a webhook, and with it what waits for it.
func (o *Operations) DeleteWebhook(ctx context.Context, tenant string, in Target) (Deleted, error) {
	w, err := o.webhookAt(ctx, tenant, in.ID, in.Revision)
	if err == nil {
		err = o.Webhooks.DeleteWebhook(ctx, w)
	}
	if err != nil {
		return Deleted{}, fmt.Errorf("delete webhook %s: %w", in.ID, err)
	}
	return Deleted{in.ID}, nil
}

// webhookView is a webhook with how it does. That it cannot be said how it does
// keeps nobody from reading it.
func (o *Operations) webhookView(ctx context.Context, w endpoint.Webhook, secrets bool) (v WebhookView, err error) {
	health := WebhookHealth{Status: HealthNormal}
	if o.Hooks != nil {
		if health, err = o.Hooks.Health(ctx, w.Tenant, w.ID); err != nil {
			health = WebhookHealth{Status: HealthUnknown}
		}
	}
	v = webhookViewOf(w, health)
	if !secrets {
		return v, nil
	}
	v.Secrets, err = o.openSecrets(&w)
	return v, err
}

func webhookSpecOf(w endpoint.Webhook) WebhookSpec {
	return WebhookSpec{URL: w.URL, Kind: w.Kind, Events: w.Events, AgentID: w.AgentID}
}

func webhookViewOf(w endpoint.Webhook, h WebhookHealth) WebhookView {
	v := WebhookView{ID: w.ID, ProjectID: w.ProjectID, SecretIDs: make([]SecretID, len(w.Secrets)), CreatedAt: w.CreatedAt,
		UpdatedAt: w.UpdatedAt, Revision: w.Revision, WebhookHealth: h, WebhookSpec: webhookSpecOf(w)}
	for i, s := range w.Secrets {
		v.SecretIDs[i] = SecretID{s.ID, s.CreatedAt}
	}
	return v
}
