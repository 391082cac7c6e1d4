package endpoint

import (
	"net/netip"
	"strings"
	"time"
)

// Limits of numbers.
const (
	minDigits  = 3
	maxDigits  = 15 // E.164
	MaxClaims  = 16 // trunks on which one number is claimed
	maxNumText = 64 // bytes of a number as it is written
)

// A Number leads from a phone number to an endpoint, for callers of one trunk.
type Number struct {
	V          int          `json:"v"`
	ID         string       `json:"id"` // UUID
	Tenant     string       `json:"tenant"`
	Digits     string       `json:"number"` // without +
	Trunk      netip.Prefix `json:"trunk"`  // packet sources it is dialled from; the zero Prefix: any
	EndpointID string       `json:"endpoint_id"`
	Key        Key          `json:"key"` // of the endpoint
	Partition  uint8        `json:"partition"`
	CreatedAt  time.Time    `json:"created_at"`
	Revision   Revision     `json:"-"`
}

// Claims are all that lead from one number.
type Claims struct {
	V       int      `json:"v"`
	Numbers []Number `json:"numbers"`
}

// ParseNumber returns the digits of a phone number: 3 to 15 of them, with or
// without +, the visual separators of RFC 3966 5.1.1 between them, and URI
// parameters after them.
func ParseNumber(user string) (digits string, ok bool) {
	user, _, _ = strings.Cut(user, ";")
	user = strings.TrimPrefix(user, "+")
	if len(user) > maxNumText || user == "" || !isDigit(user[0]) && user[0] != '(' {
		return "", false
	}
	b := make([]byte, 0, maxDigits)
	for i := range len(user) {
		switch c := user[i]; {
		case isDigit(c) && len(b) < maxDigits:
			b = append(b, c)
		case c == '-', c == '.', c == '(', c == ')':
		default:
			return "", false
		}
	}
	return string(b), len(b) >= minDigits
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// NumberAddress returns the address of a number's digits.
func NumberAddress(digits string) Address { return Address("n/" + digits) }

// IsNumber reports whether the address is a number's: it leads to an endpoint,
// which has an address of its own.
func (a Address) IsNumber() bool { return strings.HasPrefix(string(a), "n/") }

// Find returns the claim that counts for a caller: of those whose trunk it is
// in, the narrowest. Nil: there is none.
func (c *Claims) Find(source netip.Addr) *Number {
	source = source.Unmap().WithZone("")
	var best *Number
	for i := range c.Numbers {
		n := &c.Numbers[i]
		if n.Trunk.IsValid() && !n.Trunk.Contains(source) {
			continue
		}
		if best == nil || n.Trunk.IsValid() && n.Trunk.Bits() > best.Trunk.Bits() {
			best = n
		}
	}
	return best
}

// Conflicts reports whether two claims of one number cannot stand side by
// side: the same trunk, or, of two tenants, trunks that overlap. Within one
// tenant the narrower trunk counts; between two it would take the other's
// calls.
func (n *Number) Conflicts(o *Number) bool {
	if n.Tenant == o.Tenant {
		return n.Trunk == o.Trunk
	}
	return !n.Trunk.IsValid() || !o.Trunk.IsValid() || n.Trunk.Overlaps(o.Trunk)
}

// Validate returns every mistake that keeps the number from being stored.
func (n *Number) Validate() []Problem {
	var ps problems
	ps.between("v", int64(n.V), currentVersion, currentVersion)
	ps.uuid("id", n.ID)
	ps.tenant("tenant", n.Tenant)
	if digits, ok := ParseNumber(n.Digits); !ok || digits != n.Digits {
		ps.add("number", CodeInvalid, "want %d to %d digits, with or without +", minDigits, maxDigits)
	}
	if n.Trunk.IsValid() && n.Trunk != n.Trunk.Masked() {
		ps.add("trunk", CodeInvalid, "want %s", n.Trunk.Masked())
	}
	ps.uuid("endpoint_id", n.EndpointID)
	return ps
}
