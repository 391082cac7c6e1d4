package endpoint

import (
	"regexp"
	"regexp/syntax"
	"strings"
)

// Limits of an account's rules. An owner writes the patterns and strangers the
// users they are matched with; both sides of that product are bounded.
const (
	MaxRules       = 20  // route rules of one account
	MaxPattern     = 200 // characters of a pattern
	maxPatternSize = 500 // instructions of its program
	maxRoutedUser  = 256 // bytes of a To user that rules look at; a longer one matches none
)

// HandlerRules is the Active word of an endpoint whose calls follow its
// account's rules.
const HandlerRules = "route_rules"

// agentUser starts the To user that names an agent (Ultravox).
const agentUser = "agent_"

// pattern returns the rule's pattern: what it says, or the agent's own user.
func (r *RouteRule) pattern() string {
	if r.ToUserPattern != "" {
		return r.ToUserPattern
	}
	return "^" + agentUser + regexp.QuoteMeta(r.AgentID) + "$"
}

// A route is a rule's pattern, compiled.
type route struct {
	pattern string
	re      *regexp.Regexp // nil: a pattern that was never valid; it matches nothing
}

// Compile makes the account's rules ready to be matched. It is called once,
// when an account is read; without it Decide compiles them for each INVITE.
func (a *Account) Compile() {
	a.routes = make([]route, len(a.SIP.Rules))
	for i := range a.SIP.Rules {
		a.routes[i].pattern = a.SIP.Rules[i].pattern()
		a.routes[i].re, _ = compile(a.routes[i].pattern)
	}
}

// compile reads a pattern of RE2, which cannot be made to backtrack, and
// refuses one that is long or becomes a large program.
func compile(pattern string) (*regexp.Regexp, bool) {
	if len([]rune(pattern)) > MaxPattern {
		return nil, false
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, false
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil || len(prog.Inst) > maxPatternSize {
		return nil, false
	}
	re, err := regexp.Compile(pattern)
	return re, err == nil
}

// matches reports whether rule i is for the user. A compiled pattern is used
// while it still is the rule's.
func (a *Account) matches(i int, user string) bool {
	if len(user) > maxRoutedUser {
		return false
	}
	pattern := a.SIP.Rules[i].pattern()
	if i < len(a.routes) && a.routes[i].pattern == pattern {
		return a.routes[i].re != nil && a.routes[i].re.MatchString(user)
	}
	re, ok := compile(pattern)
	return ok && re.MatchString(user)
}

// Route says who answers a call that the account itself decides: the first
// rule whose pattern is found in the user of To, else the agent that the user
// names if the account allows all agents, else the account's webhook. Nobody:
// 404.
func (a *Account) Route(inv *Invite) Verdict {
	user, _, _ := strings.Cut(inv.ToUser, ";") // without its parameters
	for i := range a.SIP.Rules {
		if a.matches(i, user) {
			return Verdict{Action: Accept, Agent: a.SIP.Rules[i].AgentID, Rule: RuleRoute, Route: i + 1}
		}
	}
	if id, ok := strings.CutPrefix(user, agentUser); ok && a.SIP.AllowAllAgents {
		if id = strings.ToLower(id); isUUID(id) {
			return Verdict{Action: Accept, Agent: id, Rule: RuleAllAgents}
		}
	}
	if a.SIP.Fallback != nil {
		return Verdict{Action: Consult, Rule: RuleFallback}
	}
	return refuse(404, ReasonNoRoute, RuleFallback)
}

// DecideAccount returns the verdict on a call to a user of the account's
// domain that is no endpoint: the account's own policy decides. As in
// [Decide], a stranger uses up nothing.
func DecideAccount(acct Account, use Usage, inv Invite) Verdict {
	if !acct.SIP.Ingress.Admits(inv.Source.Addr()) {
		return refuse(403, ReasonSourceNotAllowed, RuleSource)
	}
	if v, lacks := unserved(&Endpoint{}, &acct); lacks {
		return v
	}
	if v, over := overLimit(&Endpoint{}, &acct, &use); over {
		return v
	}
	return acct.Route(&inv)
}
