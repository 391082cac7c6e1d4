package endpoint

import (
	"fmt"
	"slices"
	"strings"
)

// Digits of a number that a call is transferred to.
const (
	minNumber = 2
	maxNumber = 32
)

// ParseTransfer reads whom a call is transferred to: a URI as of [ParseTarget],
// or a number with or without its +, which it returns without separators.
func ParseTransfer(to string) (string, bool) {
	if t, ok := ParseTarget(to); ok {
		return t.URI(), true
	}
	number := strings.NewReplacer(" ", "", "-", "", "(", "", ")", "", ".", "").Replace(to)
	digits := strings.TrimPrefix(number, "+")
	if len(to) > 2*maxNumber || len(digits) < minNumber || len(digits) > maxNumber || strings.Trim(digits, "0123456789") != "" {
		return "", false
	}
	return number, true
}

// MaxTransferTargets is how many patterns a [TransferPolicy] has at most.
const MaxTransferTargets = 64

// anyTarget is the pattern of every target.
const anyTarget = "*"

// A TransferPolicy says how calls are transferred where we call the target
// ourselves, which the account pays for. What an endpoint does not say, its
// account says.
type TransferPolicy struct {
	// Trunk is the id of the trunk that such calls go through; "": of a call that
	// we placed its own, of others none.
	Trunk string `json:"trunk,omitempty"`
	// Targets are whom agents may have called: "*", a number, the beginning of
	// one with a * after it, sip:user@host, or sip:*@host. None: nobody. The
	// control API may have anybody called.
	Targets *[]string `json:"targets,omitempty"`
}

// Transfers is the policy of calls to an endpoint; nil: of the account's other
// calls.
func (a *Account) Transfers(ep *Endpoint) *TransferPolicy {
	base := a.SIP.Transfer
	if ep == nil || ep.Transfer == nil {
		return base
	}
	own := *ep.Transfer
	if base != nil && own.Trunk == "" {
		own.Trunk = base.Trunk
	}
	if base != nil && own.Targets == nil {
		own.Targets = base.Targets
	}
	return &own
}

// Allows reports whether an agent may have a target called, which
// [ParseTransfer] has read.
func (p *TransferPolicy) Allows(to string) bool {
	return p != nil && p.Targets != nil && slices.ContainsFunc(*p.Targets, func(pattern string) bool { return matchesTarget(pattern, to) })
}

// matchesTarget compares a URI by user and host, for the trunk says where it is
// sent, and a number as it is dialled.
func matchesTarget(pattern, to string) bool {
	if pattern == anyTarget {
		return true
	}
	want, isURI := ParseTarget(pattern)
	target, also := ParseTarget(to)
	switch {
	case isURI != also:
		return false
	case isURI:
		return target.Host == want.Host && (want.User == anyTarget || target.User == want.User)
	}
	if start, ok := strings.CutSuffix(pattern, anyTarget); ok {
		return strings.HasPrefix(to, start)
	}
	return to == pattern
}

func (p *TransferPolicy) validate(ps *problems, field string) {
	if p == nil {
		return
	}
	if p.Trunk != "" {
		ps.uuid(field+".trunk", p.Trunk)
	}
	if p.Targets == nil {
		return
	}
	if n := len(*p.Targets); n > MaxTransferTargets {
		ps.add(field+".targets", CodeTooMany, "%d targets, want at most %d", n, MaxTransferTargets)
		return
	}
	for i, pattern := range *p.Targets {
		if !isTargetPattern(pattern) {
			ps.add(fmt.Sprintf("%s.targets[%d]", field, i), CodeInvalid, "want *, a number or its beginning with a * after it, sip:user@host, or sip:*@host")
		}
	}
}

func isTargetPattern(pattern string) bool {
	if pattern == anyTarget {
		return true
	}
	if t, ok := ParseTarget(pattern); ok {
		return t.User != "" && t.Port == 0 && t.Transport == "" && (t.User == anyTarget || !strings.Contains(t.User, anyTarget))
	}
	start, _ := strings.CutSuffix(pattern, anyTarget)
	digits := strings.TrimPrefix(start, "+")
	return start != "" && len(digits) <= maxNumber && strings.Trim(digits, "0123456789") == "" && (digits != "" || start == "+" && pattern != start)
}
