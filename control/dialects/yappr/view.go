package yappr

import (
	"time"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

// A view is an endpoint as Yappr's clients read it. Slug, SIPURI and SIPPassword
// are credentials.
type view struct {
	ID               string   `json:"id"`
	Name             string   `json:"name"`
	AuthMode         string   `json:"auth_mode,omitempty"`
	Slug             string   `json:"slug,omitempty"`
	InboundAgentID   *string  `json:"inbound_agent_id"`
	IsActive         bool     `json:"is_active"`
	LastCallAt       *string  `json:"last_call_at"`
	AllowedSourceIPs []string `json:"allowed_source_ips"`
	SIPURI           string   `json:"sip_uri,omitempty"`
	*trunk
	Register    *registered `json:"register,omitempty"`
	SIPPassword string      `json:"sip_password,omitempty"`
	CreatedAt   string      `json:"created_at"`
	UpdatedAt   string      `json:"updated_at"`
}

// A trunk is what an endpoint with a password has besides.
type trunk struct {
	MaxConcurrentCalls *int        `json:"max_concurrent_calls"`
	SIPUsername        string      `json:"sip_username"`
	SIPConnection      *connection `json:"sip_connection"`
}

// A connection is where a PBX reaches us.
type connection struct {
	Server           string   `json:"server"`
	AlternateServers []string `json:"alternate_servers"`
	Transports       []string `json:"transports"`
}

// A registered is an extension of somebody's PBX.
type registered struct {
	Server       string `json:"server"`
	Username     string `json:"username"`
	AuthUsername string `json:"auth_username,omitempty"`
	Transport    string `json:"transport,omitempty"`
	Region       string `json:"region,omitempty"`
	Status       string `json:"status"`
	StatusDetail string `json:"status_detail,omitempty"`
}

// one answers with an endpoint, and its password where it is new: it is shown
// this once.
func (f *face) one(status int, v control.EndpointView, password string) reply {
	shown := f.viewOf(v)
	shown.SIPPassword = password
	return reply{status, map[string]view{"data": shown}}
}

func (f *face) viewOf(v control.EndpointView) view {
	out := view{
		ID: v.ID, Name: v.Name, AuthMode: shown[v.Kind], Slug: v.Slug, InboundAgentID: agentOf(v), IsActive: v.IsActive,
		AllowedSourceIPs: sourcesOf(v.IP), CreatedAt: stamp(v.CreatedAt), UpdatedAt: stamp(v.UpdatedAt),
	}
	if v.LastCallAt != nil {
		at := stamp(*v.LastCallAt)
		out.LastCallAt = &at
	}
	switch v.Kind {
	case endpoint.KindSlug:
		out.SIPURI = v.SIPURI
	case endpoint.KindCredential:
		out.trunk = &trunk{MaxConcurrentCalls: v.MaxConcurrentCalls, SIPUsername: v.User, SIPConnection: f.connectionOf(v)}
	case endpoint.KindRegister:
		if g := v.Register; g != nil {
			out.Register = &registered{Server: g.Server, Username: g.Username, AuthUsername: g.AuthUser, Transport: g.Transport,
				Region: g.Region, Status: g.Status, StatusDetail: g.Detail}
		}
	}
	return out
}

func (f *face) connectionOf(v control.EndpointView) *connection {
	return &connection{Server: v.Domain + "." + f.kit.Domain, AlternateServers: []string{}, Transports: f.set.Transports}
}

// agentOf returns the agent that answers; nil: somebody else does, as the owner
// has said through another API.
func agentOf(v control.EndpointView) *string {
	if id := v.Handler.Agent(); id != "" {
		return &id
	}
	return nil
}

// sourcesOf returns the allowlist as Yappr has it: nil is any source, an empty
// list is none. Lines that are switched off are not shown.
func sourcesOf(ip control.IPSpec) []string {
	if ip.Mode == endpoint.IPAny {
		return nil
	}
	all := []string{}
	if ip.Mode == endpoint.IPList {
		for _, e := range ip.Entries {
			if !e.Disabled {
				all = append(all, e.Raw)
			}
		}
	}
	return all
}

// stamp writes a time as ISO 8601, in UTC.
func stamp(t time.Time) string { return t.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano) }
