package control

import (
	"fmt"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/internal/keys"
)

func agentSpecOf(a endpoint.Agent) AgentSpec {
	t := a.WebRTC
	return AgentSpec{
		Name: a.Name, IsActive: a.IsActive, MaxDurationMs: a.MaxDurationMs, JoinTimeoutMs: a.JoinTimeoutMs, Failover: a.Failover,
		DTMF: a.DTMF, TrustCallerID: a.TrustCallerID, ContextSchema: a.ContextSchema, CallTemplate: a.CallTemplate,
		WebhookURL: a.WebhookURL, WebhookEvents: a.WebhookEvents, WebhookKind: string(a.WebhookKind), Metadata: a.Metadata,
		WebRTC: TransportSpec{Connector: t.Connector, Dialect: t.Dialect, URL: t.URL, AuthType: t.AuthType,
			SecretSet: t.AuthSecret != "", Headers: t.Headers, Codecs: t.Codecs, TimeoutMs: t.TimeoutMs, Attempts: t.Attempts,
			Session: t.Session, DataChannel: t.DataChannel, OnClose: t.OnClose, CallTools: t.CallTools,
			NoSilence: t.NoSilence, NoMetadata: t.NoMetadata},
	}
}

// put writes spec over a. A new secret is sealed; without one the old stays,
// and auth_type "" removes it.
func (spec AgentSpec) put(a *endpoint.Agent, seal func(string) (endpoint.SecretRef, error), now time.Time) ([]endpoint.Problem, error) {
	secret := a.WebRTC.AuthSecret
	t := spec.WebRTC
	switch {
	case t.AuthType == "":
		secret = ""
	case len(t.AuthSecret) > keys.MaxSecret:
		return []endpoint.Problem{{Field: "webrtc.auth_secret", Code: endpoint.CodeTooLong,
			Message: fmt.Sprintf("want at most %d bytes", keys.MaxSecret)}}, nil
	case t.AuthSecret != "":
		sealed, err := seal(t.AuthSecret)
		if err != nil {
			return nil, fmt.Errorf("seal webrtc.auth_secret: %w", err)
		}
		secret = sealed
	}
	a.Failover = spec.Failover
	a.Name, a.IsActive, a.MaxDurationMs, a.JoinTimeoutMs = spec.Name, spec.IsActive, spec.MaxDurationMs, spec.JoinTimeoutMs
	a.DTMF, a.TrustCallerID, a.ContextSchema, a.CallTemplate = spec.DTMF, spec.TrustCallerID, spec.ContextSchema, spec.CallTemplate
	a.WebhookURL, a.WebhookEvents, a.Metadata = spec.WebhookURL, spec.WebhookEvents, spec.Metadata
	a.WebhookKind = endpoint.WebhookKind(spec.WebhookKind)
	a.WebRTC = endpoint.AgentTransport{Connector: t.Connector, Dialect: t.Dialect, URL: t.URL, AuthType: t.AuthType,
		AuthSecret: secret, Headers: t.Headers, Codecs: t.Codecs, TimeoutMs: t.TimeoutMs, Attempts: t.Attempts,
		Session: t.Session, DataChannel: t.DataChannel, OnClose: t.OnClose, CallTools: t.CallTools,
		NoSilence: t.NoSilence, NoMetadata: t.NoMetadata}
	a.UpdatedAt = now
	problems := a.Validate()
	if t.AuthType == "" && t.AuthSecret != "" {
		problems = append(problems, endpoint.Problem{Field: "webrtc.auth_secret", Code: endpoint.CodeInvalid,
			Message: "want auth_type bearer with it"})
	}
	return problems, nil
}

func agentViewOf(a endpoint.Agent) AgentView {
	return AgentView{ID: a.ID, ProjectID: a.ProjectID, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt, Revision: a.Revision, AgentSpec: agentSpecOf(a)}
}

func accountViewOf(a endpoint.Account) AccountView {
	v := AccountView{ID: a.ID, Tenant: a.Tenant, Name: a.Name, SpaceName: a.SpaceName, Refusal: a.Refusal, Revision: a.Revision, SIP: sipSpecOf(a.SIP)}
	if len(a.Projects) > 0 {
		v.Limits = a.Projects[0].Limits
	}
	return v
}
