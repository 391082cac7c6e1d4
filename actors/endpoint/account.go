package endpoint

// DefaultPermissions are what an endpoint may do unless its owner says
// otherwise (Vobiz's documented defaults).
func DefaultPermissions() Permissions {
	return Permissions{Voice: true, Message: true, SameDomain: true, Phones: true, Apps: true}
}

// MaxKeys is how many API keys one account may have.
const MaxKeys = 100

// Validate returns every mistake that keeps the account from being stored.
func (a *Account) Validate() []Problem {
	var ps problems
	ps.between("v", int64(a.V), currentVersion, currentVersion)
	ps.uuid("id", a.ID)
	ps.tenant("tenant", a.Tenant)
	ps.text("name", a.Name, 1, MaxName)
	ps.word("refusal", string(a.Refusal), "", string(RefuseUniform), string(RefuseExplicit))
	if len(a.Keys) > MaxKeys {
		ps.add("keys", CodeTooMany, "%d keys, want at most %d", len(a.Keys), MaxKeys)
	}
	for i := range a.Projects {
		l := a.Projects[i].Limits
		ps.between("limits.max_concurrent_calls", int64(l.MaxConcurrentCalls), 0, MaxConcurrent)
		ps.between("limits.cps", int64(l.CPS), 0, MaxCallsPerSecond)
	}
	a.SIP.validate(&ps)
	return ps
}
