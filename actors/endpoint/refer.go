package endpoint

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Limits of a ReferPolicy.
const (
	MaxReferHosts   = 16
	MaxReferTargets = 32
)

// A ReferPolicy says that a carrier may have its calls sent elsewhere by REFER,
// how, and where to. Without one REFER is 603: such calls are placed by us, and
// somebody pays for them.
type ReferPolicy struct {
	Hosts   []string `json:"hosts,omitempty"`   // that targets may be at, beside the address that the call's own messages come from
	Targets []string `json:"targets,omitempty"` // user parts of targets: exact, or with * at the end; none: any
	Trunk   string   `json:"trunk,omitempty"`   // id; through which targets are called; "": straight to their hosts
}

// A Referral is whom a carrier's REFER would have us call, as far as a policy
// asks.
type Referral struct {
	URI      string     `json:"uri"`
	User     string     `json:"user,omitempty"`
	Host     string     `json:"host"`
	Replaces bool       `json:"replaces,omitempty"` // it takes over a call that the target has
	Peer     netip.Addr `json:"peer"`               // where the messages of the REFER's dialog come from
}

// Reasons why a REFER of a carrier's is refused.
const (
	ReasonReferPolicy Reason = "refer_not_allowed"  // 603: the endpoint has no policy for it, or not any more
	ReasonReferTarget Reason = "target_not_allowed" // 603
	ReasonReferTrunk  Reason = "trunk_not_there"    // 603: deleted, or not active
)

// RuleRefer is the step that decides about a carrier's REFER.
const RuleRefer Rule = "accept_refer"

// DecideReferral decides whether a target may be called. trunk is the one that
// the policy names, or that the call went through; nil: none. toTrunk says that
// the target is a number that the trunk is asked for, whatever host the carrier
// gave it.
func (p *ReferPolicy) DecideReferral(r Referral, trunk *Trunk) (v Verdict, toTrunk bool) {
	switch {
	case p == nil:
		return refuse(603, ReasonReferPolicy, RuleRefer), false
	case p.Trunk != "" && (trunk == nil || !trunk.IsActive):
		return refuse(603, ReasonReferTrunk, RuleRefer), false
	case len(p.Targets) > 0 && !slices.ContainsFunc(p.Targets, func(t string) bool { return matchesUser(t, r.User) }):
		return refuse(603, ReasonReferTarget, RuleRefer), false
	}
	if _, number := ParseNumber(r.User); number && trunk != nil && !r.Replaces {
		return Verdict{Action: Accept, Rule: RuleRefer}, true
	}
	if !p.allowsHost(r, trunk) {
		return refuse(603, ReasonReferTarget, RuleRefer), false
	}
	return Verdict{Action: Accept, Rule: RuleRefer}, false
}

func (p *ReferPolicy) allowsHost(r Referral, trunk *Trunk) bool {
	host := strings.ToLower(strings.Trim(r.Host, "[]"))
	if at, err := netip.ParseAddr(host); err == nil && r.Peer.IsValid() && at.Unmap() == r.Peer.Unmap().WithZone("") {
		return true
	}
	if slices.Contains(p.Hosts, host) {
		return true
	}
	return trunk != nil && (host == trunk.Domain || slices.ContainsFunc(trunk.Addresses, func(a TrunkAddress) bool { return a.Host == host }))
}

// matchesUser reports whether a user part is what a pattern says.
func matchesUser(pattern, user string) bool {
	if prefix, open := strings.CutSuffix(pattern, "*"); open {
		return strings.HasPrefix(user, prefix)
	}
	return SameUser(pattern, user)
}

// validate checks the policy of an endpoint; that of a trunk names no trunk.
func (p *ReferPolicy) validate(ps *problems, ofTrunk bool) {
	if p == nil {
		return
	}
	switch {
	case ofTrunk && p.Trunk != "":
		ps.add("accept_refer.trunk", CodeInvalid, "targets are called through the trunk itself")
	case p.Trunk != "":
		ps.uuid("accept_refer.trunk", p.Trunk)
	}
	p.validateLists(ps)
}

func (p *ReferPolicy) validateLists(ps *problems) {
	if len(p.Hosts) > MaxReferHosts || len(p.Targets) > MaxReferTargets {
		ps.add("accept_refer", CodeTooMany, "%d hosts and %d targets, want at most %d and %d", len(p.Hosts), len(p.Targets), MaxReferHosts, MaxReferTargets)
		return
	}
	for i, host := range p.Hosts {
		if !IsHost(host) {
			ps.add(fmt.Sprintf("accept_refer.hosts[%d]", i), CodeInvalid, "want the name of a host in lower case, or an IP address")
		}
	}
	for i, target := range p.Targets {
		if user := strings.TrimSuffix(target, "*"); target == "" || user != "" && !isTargetUser(user) && !isTargetUser(user+"0") {
			ps.add(fmt.Sprintf("accept_refer.targets[%d]", i), CodeInvalid, "want a number or a user part, or the beginning of one and *")
		}
	}
}
