package endpoint

import (
	"encoding/json"
	"errors"
	"slices"
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

// A Matcher is a filter made ready for many endpoints: what they must all pass.
type Matcher []func(*Brief) bool

// Matcher returns what an endpoint must pass to be chosen.
func (f Filter) Matcher() Matcher {
	var m Matcher
	text := func(want string, check func(want string) func(*Brief) bool) {
		if want != "" {
			m = append(m, check(strings.ToLower(want)))
		}
	}
	text(f.User, func(want string) func(*Brief) bool { return func(b *Brief) bool { return b.User == want } })
	text(f.Name, func(want string) func(*Brief) bool { return func(b *Brief) bool { return b.Name == want } })
	text(f.UserPrefix, func(want string) func(*Brief) bool {
		return func(b *Brief) bool { return strings.HasPrefix(b.User, want) }
	})
	text(f.UserContains, func(want string) func(*Brief) bool {
		return func(b *Brief) bool { return strings.Contains(b.User, want) }
	})
	text(f.NameContains, func(want string) func(*Brief) bool {
		return func(b *Brief) bool { return strings.Contains(b.Name, want) }
	})
	text(f.CallerIDContains, func(want string) func(*Brief) bool {
		return func(b *Brief) bool { return strings.Contains(b.CallerID, want) }
	})
	text(f.ProjectID, func(want string) func(*Brief) bool { return func(b *Brief) bool { return b.ProjectID == want } })
	text(f.SubAccount, func(want string) func(*Brief) bool { return func(b *Brief) bool { return b.SubAccount == want } })
	text(f.ApplicationID, func(want string) func(*Brief) bool { return func(b *Brief) bool { return b.ApplicationID == want } })
	text(f.AgentID, func(want string) func(*Brief) bool { return func(b *Brief) bool { return b.AgentID == want } })
	return append(m, f.words()...)
}

// words is the part of a matcher about what is no text.
func (f Filter) words() (m Matcher) {
	if len(f.Kinds) > 0 {
		m = append(m, func(b *Brief) bool { return slices.Contains(f.Kinds, b.Kind) })
	}
	if f.HasApplication != nil {
		m = append(m, func(b *Brief) bool { return (b.ApplicationID != "") == *f.HasApplication })
	}
	if f.IsActive != nil {
		m = append(m, func(b *Brief) bool { return b.IsActive == *f.IsActive })
	}
	if f.Origin != nil {
		m = append(m, func(b *Brief) bool { return b.Origin == *f.Origin })
	}
	return m
}

// Matches reports whether the filter chooses an endpoint.
func (m Matcher) Matches(b *Brief) bool {
	for _, check := range m {
		if !check(b) {
			return false
		}
	}
	return true
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
