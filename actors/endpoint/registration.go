package endpoint

import (
	"encoding/json"
	"strings"
	"time"
)

// Limits of registrations at somebody's PBX.
const (
	MaxExtension        = 60  // bytes of a username there
	MaxRegistrar        = 100 // bytes of the PBX's name, with its port
	minExpires          = 60 * time.Second
	maxExpires          = 24 * time.Hour
	DefaultRegistration = 5 // registrations of an account that has no limit of its own
)

// Words for how a registration is. This release does not register: all are
// disabled, with RegisterNotServed as their detail.
const (
	RegisterPending  = "pending"
	RegisterDisabled = "disabled"

	RegisterNotServed = "this release does not register; nothing was sent to the server"
)

// A Registration is one that stands alone: of no endpoint (Ultravox).
type Registration struct {
	V      int    `json:"v"`
	Tenant string `json:"tenant"`
	Name   string `json:"name,omitempty"`
	OutRegistration
	Origin    string                     `json:"origin,omitempty"`
	Compat    map[string]json.RawMessage `json:"compat,omitempty"`
	UpdatedAt time.Time                  `json:"updated_at"`
	Revision  Revision                   `json:"-"`
}

// Validate returns every mistake that keeps the registration from being stored.
func (r *Registration) Validate() []Problem {
	var ps problems
	ps.between("v", int64(r.V), currentVersion, currentVersion)
	ps.uuid("id", r.ID)
	ps.tenant("tenant", r.Tenant)
	ps.text("name", r.Name, 0, MaxName)
	r.OutRegistration.validate(&ps, "")
	ps.word("origin", r.Origin, origins...)
	ps.compat("compat", r.Compat)
	return ps
}

// Unique is as of [Endpoint.Unique].
func (r *Registration) Unique() []Claimed {
	return []Claimed{{SpaceExtension, string(r.extension()), "username"}}
}

// extension names whom we register as, and where: two would take each other's
// calls.
func (r *OutRegistration) extension() Key {
	return Address("x/" + strings.ToLower(r.Server) + "/" + r.Username).Key()
}

func (r *OutRegistration) validate(ps *problems, at string) {
	ps.text(at+"username", r.Username, 1, MaxExtension)
	ps.text(at+"auth_user", r.AuthUser, 0, MaxExtension)
	ps.registrar(at+"server", r.Server, true)
	ps.registrar(at+"outbound_proxy", r.OutboundProxy, false)
	ps.word(at+"transport", r.Transport, "", "udp", "tcp", "tls")
	ps.text(at+"region", r.Region, 0, MaxExtension)
	ps.text(at+"detail", r.Detail, 0, MaxText)
	ps.word(at+"status", r.Status, RegisterPending, "registering", "registered", "failed", "unknown", RegisterDisabled)
	if r.PasswordEnc == "" {
		ps.add(at+"password", CodeRequired, "want 1 to %d bytes", MaxPassword)
	}
	if r.Expires != 0 && (r.Expires < minExpires || r.Expires > maxExpires) {
		ps.add(at+"expires_s", CodeOutOfRange, "want %d to %d", int(minExpires.Seconds()), int(maxExpires.Seconds()))
	}
}

// registrar checks the shape of a host with or without a port; what may be
// reached is decided by who registers there.
func (ps *problems) registrar(field, value string, wanted bool) {
	switch {
	case value == "" && wanted:
		ps.add(field, CodeRequired, "want a host, with or without a port")
	case len(value) > MaxRegistrar:
		ps.add(field, CodeTooLong, "%d bytes, want at most %d", len(value), MaxRegistrar)
	case !isPrintable(value) || strings.ContainsAny(value, " \t@/\"<>"):
		ps.add(field, CodeInvalid, "want a host, with or without a port")
	}
}

// origins are the APIs that an object may come from.
var origins = []string{"", KindOfNative, KindOfYappr, KindOfUltravox, KindOfSignalWire, KindOfVobiz}
