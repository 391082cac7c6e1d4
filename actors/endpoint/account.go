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
	if a.SpaceName != "" && (len(a.SpaceName) > MaxLabel || !isLabel(a.SpaceName)) {
		ps.add("space_name", CodeInvalid, "want at most %d lower-case letters, digits and hyphens", MaxLabel)
	}
	ps.word("refusal", string(a.Refusal), "", string(RefuseUniform), string(RefuseExplicit))
	for i := range a.Projects {
		a.Projects[i].Limits.validate(&ps)
	}
	a.SIP.validate(&ps)
	ps.word("sip.outgoing_from", a.SIP.OutgoingFrom, "", FromAccount, FromAny)
	a.SIP.Transfer.validate(&ps, "sip.transfer")
	return ps
}

// Validate returns every mistake that keeps the project from being stored; its
// limits are its account's to check.
func (p *Project) Validate() []Problem {
	var ps problems
	ps.uuid("id", p.ID)
	ps.text("name", p.Name, 1, MaxName)
	if p.ParentID != nil {
		ps.uuid("parent_id", *p.ParentID)
	}
	ps.text("auth_id", p.AuthID, 0, MaxName)
	ps.optional("default_endpoint_app_id", p.DefaultEndpointAppID, MaxName)
	ps.optional("default_number_app_id", p.DefaultNumberAppID, MaxName)
	ps.optional("default_app_id", p.DefaultAppID, MaxName)
	return ps
}

// MaxDaily is the largest number of creations a day, and of requests a minute.
const MaxDaily = 1_000_000

func (l *Limits) validate(ps *problems) {
	ps.between("limits.max_concurrent_calls", int64(l.MaxConcurrentCalls), 0, MaxConcurrent)
	ps.between("limits.cps", int64(l.CPS), 0, MaxCallsPerSecond)
	ps.between("limits.queue_depth", int64(l.QueueDepth), 0, MaxConcurrent)
	ps.between("limits.endpoint_creates_per_day", int64(l.EndpointCreatesPerDay), 0, MaxDaily)
	ps.between("limits.api_per_minute", int64(l.APIPerMinute), 0, MaxDaily)
	ps.between("limits.max_register_out", int64(l.MaxRegisterOut), 0, MaxConcurrent)
}
