package endpoint

import (
	"encoding/json"
	"errors"
	"strings"
)

// A Filter chooses among an account's endpoints. What is absent chooses all;
// what is there holds together. The case of letters does not matter.
type Filter struct {
	Kinds            []Kind  `json:"kinds,omitempty"`
	ProjectID        string  `json:"project_id,omitempty"`
	SubAccount       string  `json:"sub_account,omitempty"`
	Name             string  `json:"name,omitempty"`
	NameContains     string  `json:"name_contains,omitempty"`
	User             string  `json:"user,omitempty"`
	UserContains     string  `json:"user_contains,omitempty"`
	UserPrefix       string  `json:"user_prefix,omitempty"`
	CallerIDContains string  `json:"caller_id_contains,omitempty"`
	ApplicationID    string  `json:"application_id,omitempty"`
	HasApplication   *bool   `json:"has_application,omitempty"`
	AgentID          string  `json:"agent_id,omitempty"`
	IsActive         *bool   `json:"is_active,omitempty"`
	Origin           *string `json:"origin,omitempty"`
}

// MaxFilter is how long each text of a filter may be, bytes.
const MaxFilter = MaxName

// Validate returns every mistake of the filter.
func (f *Filter) Validate() []Problem {
	var ps problems
	for _, k := range f.Kinds {
		ps.word("kinds", string(k), string(KindSlug), string(KindAddress), string(KindCredential), string(KindRegister), string(KindDomain))
	}
	if len(f.Kinds) > 5 {
		ps.add("kinds", CodeTooMany, "there are 5")
	}
	for _, t := range []struct{ field, value string }{
		{"project_id", f.ProjectID}, {"sub_account", f.SubAccount}, {"name", f.Name}, {"name_contains", f.NameContains},
		{"user", f.User}, {"user_contains", f.UserContains}, {"user_prefix", f.UserPrefix},
		{"caller_id_contains", f.CallerIDContains}, {"application_id", f.ApplicationID}, {"agent_id", f.AgentID},
	} {
		ps.text(t.field, t.value, 0, MaxFilter)
	}
	return ps
}

// All reports a filter that chooses every endpoint.
func (f *Filter) All() bool {
	return len(f.Kinds) == 0 && f.ProjectID+f.SubAccount+f.Name+f.NameContains+f.User+f.UserContains+f.UserPrefix+
		f.CallerIDContains+f.ApplicationID+f.AgentID == "" && f.HasApplication == nil && f.IsActive == nil && f.Origin == nil
}

// A Brief is what filters look at of an endpoint, in lower case.
type Brief struct {
	Kind                          Kind
	ProjectID, SubAccount, Origin string
	Name, User, CallerID          string
	ApplicationID, AgentID        string
	IsActive                      bool
}

// ReadBrief reads what filters look at out of a stored endpoint. unique makes
// equal texts share their memory: 100,000 endpoints name few projects and agents.
func ReadBrief(stored []byte, unique func(string) string) (Brief, error) {
	var e struct {
		Kind       Kind    `json:"kind"`
		ProjectID  string  `json:"project_id"`
		SubAccount string  `json:"sub_account"`
		Origin     string  `json:"origin"`
		Name       string  `json:"name"`
		User       string  `json:"user"`
		CallerID   string  `json:"caller_id"`
		IsActive   bool    `json:"is_active"`
		Handler    Handler `json:"handler"`
	}
	if err := json.Unmarshal(stored, &e); err != nil {
		return Brief{}, errors.New("no endpoint") // the JSON error may quote a secret
	}
	return Brief{
		Kind: Kind(unique(string(e.Kind))), ProjectID: unique(strings.ToLower(e.ProjectID)), SubAccount: unique(strings.ToLower(e.SubAccount)),
		Origin: unique(e.Origin), Name: strings.ToLower(e.Name), User: strings.ToLower(e.User), CallerID: unique(strings.ToLower(e.CallerID)),
		ApplicationID: unique(strings.ToLower(e.Handler.Application())), AgentID: unique(e.Handler.Agent()), IsActive: e.IsActive,
	}, nil
}

// Application returns the id of the application that is bound, or "".
func (h *Handler) Application() string {
	for _, id := range []*string{h.ApplicationID, h.LamlAppID} {
		if id != nil && *id != "" {
			return *id
		}
	}
	return ""
}

// Folded returns the filter with its texts in lower case, as Matches wants it.
func (f Filter) Folded() Filter {
	for _, text := range []*string{&f.ProjectID, &f.SubAccount, &f.Name, &f.NameContains, &f.User, &f.UserContains, &f.UserPrefix,
		&f.CallerIDContains, &f.ApplicationID, &f.AgentID} {
		*text = strings.ToLower(*text)
	}
	return f
}

// Matches reports whether the filter, folded, chooses an endpoint.
func (f *Filter) Matches(b *Brief) bool {
	return f.matchesTexts(b) && f.matchesWords(b)
}

func (f *Filter) matchesTexts(b *Brief) bool {
	return f.matchesNames(b) && is(f.ProjectID, b.ProjectID) && is(f.SubAccount, b.SubAccount) &&
		is(f.ApplicationID, b.ApplicationID) && is(f.AgentID, b.AgentID) && has(f.CallerIDContains, b.CallerID)
}

func (f *Filter) matchesNames(b *Brief) bool {
	return is(f.User, b.User) && is(f.Name, b.Name) && has(f.UserContains, b.User) && has(f.NameContains, b.Name) &&
		(f.UserPrefix == "" || strings.HasPrefix(b.User, f.UserPrefix))
}

func is(want, have string) bool  { return want == "" || want == have }
func has(part, have string) bool { return part == "" || strings.Contains(have, part) }

func (f *Filter) matchesWords(b *Brief) bool {
	if len(f.Kinds) > 0 && !oneOf(f.Kinds, b.Kind) {
		return false
	}
	return (f.HasApplication == nil || *f.HasApplication == (b.ApplicationID != "")) &&
		(f.IsActive == nil || *f.IsActive == b.IsActive) && (f.Origin == nil || *f.Origin == b.Origin)
}

func oneOf(kinds []Kind, k Kind) bool {
	for _, kind := range kinds {
		if kind == k {
			return true
		}
	}
	return false
}

// A Window is the part of a list that is wanted.
type Window struct {
	Cursor string // of the page before; "": the first
	Offset int    // how many to pass over, from the cursor on
	Limit  int
	Newest bool // the newest first, else the oldest
	Count  bool // how many there are in all is wanted
}

// A Listed is a part of a list.
type Listed struct {
	Items []Endpoint
	Next  string // cursor of what follows; "": nothing does
	Total int    // how many the filter chooses in all, where that was wanted
}
