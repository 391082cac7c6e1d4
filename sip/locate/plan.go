package locate

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"patchbay/actors/call"
)

// A Target is what a URI says of where it leads.
type Target = call.Target

// A Hop is one address to try.
type Hop = call.Hop

// MaxHops is how many addresses one name gives at most.
const MaxHops = 16

// Default ports (RFC 3261 19.1.2).
const (
	portSIP  = 5060
	portSIPS = 5061
)

// A record is one NAPTR or SRV record as this package reads it.
type record struct {
	order, preference uint16 // NAPTR
	flags, service    string // NAPTR, upper case
	priority, weight  uint16 // SRV
	port              uint16 // SRV
	target            string // of both
}

// services are the protocols of NAPTR records that we can send by
// (RFC 3263 4.1).
var services = map[string]call.Transport{"SIP+D2U": call.UDP, "SIP+D2T": call.TCP, "SIPS+D2T": call.TLS}

// labels start the names of SRV records, in the order in which they are asked
// for where no NAPTR record says which is preferred (4.1).
var labels = []struct {
	transport call.Transport
	label     string
}{{call.UDP, "_sip._udp."}, {call.TCP, "_sip._tcp."}, {call.TLS, "_sips._tcp."}}

// transport is what the URI asks for; "": it leaves that open.
func transport(t Target) call.Transport {
	if t.Secure {
		return call.TLS
	}
	return t.Transport
}

// fallback is the transport where nothing else says one (4.1).
func fallback(t Target) call.Transport {
	return cmp.Or(transport(t), call.UDP)
}

// usable reports whether the URI asks for something that has a way out.
func usable(t Target) bool {
	switch t.Transport {
	case call.UDP:
		return !t.Secure
	case "", call.TCP, call.TLS: // sips with transport=tcp is TLS over TCP (RFC 3261 26.2.2)
		return true
	}
	return false
}

// port of a hop whose URI and records name none.
func defaultPort(t call.Transport) uint16 {
	if t == call.TLS {
		return portSIPS
	}
	return portSIP
}

// preferred returns the SRV names that NAPTR records lead to, with their
// transports, as far as the URI allows them: by order, then preference.
func preferred(t Target, found []record) []route {
	found = slices.Clone(found)
	slices.SortStableFunc(found, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.preference, b.preference))
	})
	var routes []route
	for _, r := range found {
		transport, ours := services[r.service]
		if !ours || r.flags != "S" || t.Secure && transport != call.TLS {
			continue
		}
		routes = append(routes, route{transport, r.target})
	}
	return routes
}

// A route is a name whose SRV records are wanted, for a transport.
type route struct {
	transport call.Transport
	name      string
}

// guessed returns the SRV names to ask for where there are no NAPTR records.
func guessed(t Target) []route {
	var routes []route
	for _, l := range labels {
		if want := transport(t); want == "" && l.transport != call.TLS || want == l.transport {
			routes = append(routes, route{l.transport, l.label + t.Host})
		}
	}
	return routes
}

// ordered puts servers in the order in which they are tried: by priority, and
// among equals by chance, in proportion to their weights (RFC 2782). random
// returns a number from 0 to n-1.
func ordered(found []record, random func(n int) int) []record {
	found = slices.Clone(found)
	slices.SortStableFunc(found, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(min(a.weight, 1), min(b.weight, 1)))
	})
	for at := 0; at < len(found); {
		end := at
		for end < len(found) && found[end].priority == found[at].priority {
			end++
		}
		shuffle(found[at:end], random)
		at = end
	}
	return found
}

// shuffle draws servers of one priority, those of no weight first among those
// not yet drawn, so that they have a small chance (RFC 2782).
func shuffle(group []record, random func(n int) int) {
	for ; len(group) > 1; group = group[1:] {
		sum := 0
		for _, r := range group {
			sum += int(r.weight)
		}
		mark, run := random(sum+1), 0
		for i, r := range group {
			if run += int(r.weight); run >= mark {
				copy(group[1:i+1], group[:i])
				group[0] = r
				break
			}
		}
	}
}

// refused reports the one record that says that there is no such service
// (RFC 2782: a target of ".").
func refused(found []record) bool {
	return len(found) == 1 && strings.Trim(found[0].target, ".") == ""
}

// lifetime bounds how long an answer is kept.
func lifetime(ttl time.Duration) time.Duration { return min(max(ttl, minTTL), maxTTL) }
