package endpoint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Limits of trunks.
const (
	MaxTrunkAddresses  = 8
	MaxTrunkIdentities = 64
	MaxOutgoingHeaders = 16   // of an INVITE of ours
	MaxOutgoingHeader  = 1024 // bytes of one's value
	MaxLoginText       = 120  // bytes of a user name, a realm or a password
)

// A Trunk is a carrier or a PBX that calls of an account may be placed
// through.
type Trunk struct {
	V                  int               `json:"v"`
	ID                 string            `json:"id"` // UUID
	Tenant             string            `json:"tenant"`
	Name               string            `json:"name"`
	IsActive           bool              `json:"is_active"`
	Addresses          []TrunkAddress    `json:"addresses"`
	Domain             string            `json:"domain,omitempty"` // host of the URI that is called; "": of the first address
	Username           string            `json:"username,omitempty"`
	PasswordEnc        SecretRef         `json:"password_enc,omitempty"`
	Realm              string            `json:"realm,omitempty"` // the only realm that is answered; "": any
	From               FromPolicy        `json:"from"`
	Headers            map[string]string `json:"headers,omitempty"` // of every INVITE: X-* and User-to-User
	MaxConcurrentCalls *int              `json:"max_concurrent_calls,omitempty"`
	MaxCallsPerSecond  *int              `json:"max_calls_per_second,omitempty"`
	AcceptRefer        *ReferPolicy      `json:"accept_refer,omitempty"` // of calls placed through it; nil: REFER is 603
	DTMFOut            string            `json:"dtmf_out,omitempty"`     // auto, rfc4733, info; "": auto
	DTMFInBand         string            `json:"dtmf_inband,omitempty"`  // auto, off; "": auto
	CreatedAt          time.Time         `json:"created_at"`
	UpdatedAt          time.Time         `json:"updated_at"`
	Revision           Revision          `json:"-"`
}

// A TrunkAddress is one place where a trunk takes calls. Lower priorities are
// tried first; among equals the weights say how often which is (RFC 2782).
type TrunkAddress struct {
	Host      string `json:"host"`                // name or IP address
	Port      int    `json:"port,omitempty"`      // 0: the transport's
	Transport string `json:"transport,omitempty"` // udp, tcp, tls; "": udp
	Priority  int    `json:"priority,omitempty"`
	Weight    int    `json:"weight,omitempty"`
}

// A FromPolicy says as whom calls through a trunk may be placed.
type FromPolicy struct {
	Policy     string   `json:"policy,omitempty"`     // FromAccount, FromAny; "": FromAccount
	Identities []string `json:"identities,omitempty"` // numbers and users that are this trunk's own
	Default    string   `json:"default,omitempty"`    // of calls that name nobody
	Host       string   `json:"host,omitempty"`       // of the From URI; "": the account's domain
}

// Words of a FromPolicy.
const (
	FromAccount = "account" // the account's own numbers and users, and the trunk's identities
	FromAny     = "any"     // whatever the call says: the carrier checks it
)

// Validate returns every mistake that keeps the trunk from being stored.
func (t *Trunk) Validate() []Problem {
	var ps problems
	ps.between("v", int64(t.V), currentVersion, currentVersion)
	ps.uuid("id", t.ID)
	ps.tenant("tenant", t.Tenant)
	ps.text("name", t.Name, 1, MaxName)
	t.validateAddresses(&ps)
	if t.Domain != "" && !IsHost(t.Domain) {
		ps.add("domain", CodeInvalid, "want the name of a host in lower case, or an IP address")
	}
	ps.text("username", t.Username, 0, MaxLoginText)
	ps.text("realm", t.Realm, 0, MaxLoginText)
	if t.PasswordEnc != "" && t.Username == "" {
		ps.add("username", CodeRequired, "a password is somebody's")
	}
	t.From.validate(&ps)
	ps.headers("headers", t.Headers)
	t.AcceptRefer.validate(&ps, true)
	t.Keys().validate(&ps, "")
	if t.MaxConcurrentCalls != nil {
		ps.between("max_concurrent_calls", int64(*t.MaxConcurrentCalls), 1, MaxConcurrent)
	}
	if t.MaxCallsPerSecond != nil {
		ps.between("max_calls_per_second", int64(*t.MaxCallsPerSecond), 1, MaxCallsPerSecond)
	}
	return ps
}

func (t *Trunk) validateAddresses(ps *problems) {
	switch n := len(t.Addresses); {
	case n == 0:
		ps.add("addresses", CodeRequired, "want 1 to %d addresses", MaxTrunkAddresses)
	case n > MaxTrunkAddresses:
		ps.add("addresses", CodeTooMany, "%d addresses, want at most %d", n, MaxTrunkAddresses)
		return
	}
	for i, a := range t.Addresses {
		field := fmt.Sprintf("addresses[%d]", i)
		if !IsHost(a.Host) {
			ps.add(field+".host", CodeInvalid, "want the name of a host in lower case, or an IP address")
		}
		ps.between(field+".port", int64(a.Port), 0, 65535)
		ps.word(field+".transport", a.Transport, "", "udp", "tcp", "tls")
		ps.between(field+".priority", int64(a.Priority), 0, 65535)
		ps.between(field+".weight", int64(a.Weight), 0, 65535)
	}
}

func (f *FromPolicy) validate(ps *problems) {
	ps.word("from.policy", f.Policy, "", FromAccount, FromAny)
	if len(f.Identities) > MaxTrunkIdentities {
		ps.add("from.identities", CodeTooMany, "%d identities, want at most %d", len(f.Identities), MaxTrunkIdentities)
		return
	}
	for i, id := range f.Identities {
		if !isTargetUser(id) {
			ps.add(fmt.Sprintf("from.identities[%d]", i), CodeInvalid, "want a number, or the user part of a SIP URI")
		}
	}
	if f.Default != "" && !isTargetUser(f.Default) {
		ps.add("from.default", CodeInvalid, "want a number, or the user part of a SIP URI")
	}
	if f.Host != "" && !IsHost(f.Host) {
		ps.add("from.host", CodeInvalid, "want the name of a host in lower case, or an IP address")
	}
}

func (ps *problems) headers(field string, fields map[string]string) {
	if len(fields) > MaxOutgoingHeaders {
		ps.add(field, CodeTooMany, "%d headers, want at most %d", len(fields), MaxOutgoingHeaders)
		return
	}
	for name, value := range fields {
		if why := CheckHeader(name, value); why != "" {
			ps.add(field+"."+name, CodeInvalid, "%s", why)
		}
	}
}

// CheckHeader says why an owner may not put a header field into an INVITE of
// ours; "": it may. Fields by which SIP itself works, and those that claim an
// identity, are ours.
func CheckHeader(name, value string) string {
	switch lower := strings.ToLower(name); {
	case lower != "user-to-user" && (!strings.HasPrefix(lower, "x-") || len(lower) < 3 || len(lower) > 64 || !isLabel(lower)):
		return "want a name that begins with X-, of letters, digits and hyphens, or User-to-User"
	case len(value) > MaxOutgoingHeader:
		return fmt.Sprintf("want at most %d bytes", MaxOutgoingHeader)
	case !isPrintable(value) || strings.TrimSpace(value) != value:
		return "want one line without white space at its ends"
	}
	return ""
}

// Order returns the addresses in the order in which a call tries them: random
// chooses among those of one priority, by weight.
func (t *Trunk) Order(random uint64) []TrunkAddress {
	rest := slices.Clone(t.Addresses)
	slices.SortStableFunc(rest, func(a, b TrunkAddress) int { return cmp.Compare(a.Priority, b.Priority) })
	for i := range rest {
		same := 0
		total := uint64(0)
		for _, a := range rest[i:] {
			if a.Priority != rest[i].Priority {
				break
			}
			same++
			total += uint64(a.Weight)
		}
		if same < 2 || total == 0 {
			continue // in the order in which they stand
		}
		random = random*6364136223846793005 + 1442695040888963407 // Knuth's MMIX
		at := (random >> 33) % total
		chosen := i
		for k := i; k < i+same; k++ {
			if w := uint64(rest[k].Weight); at < w {
				chosen = k
				break
			} else {
				at -= w
			}
		}
		a := rest[chosen]
		rest = slices.Insert(slices.Delete(rest, chosen, chosen+1), i, a)
	}
	return rest
}

// Owns reports whether an identity is one of the trunk's own. Numbers are
// compared by their digits.
func (f *FromPolicy) Owns(user string) bool {
	return f.Default != "" && SameUser(f.Default, user) ||
		slices.ContainsFunc(f.Identities, func(id string) bool { return SameUser(id, user) })
}

// SameUser reports whether two users are one: numbers by their digits.
func SameUser(a, b string) bool {
	x, isNumber := ParseNumber(a)
	y, also := ParseNumber(b)
	return a == b || isNumber && also && x == y
}

// TrunkKey is under which the calls of a trunk are counted.
func TrunkKey(tenant, id string) Key { return Address("t/" + tenant + "/" + id).Key() }
