package endpoint

import (
	"encoding/json"
	"time"
)

// An Application says what is asked, by HTTP, about a call that comes to it:
// Vobiz's and Plivo's Application, SignalWire's LaML application.
// This release keeps it; calls to an endpoint that it answers are refused with
// handler_not_supported.
type Application struct {
	V                  int                        `json:"v"`
	ID                 string                     `json:"id"`         // UUID
	NumericID          string                     `json:"numeric_id"` // Vobiz, Plivo
	Tenant             string                     `json:"tenant"`
	ProjectID          string                     `json:"project_id,omitempty"`
	SubAccount         *string                    `json:"sub_account,omitempty"`
	Name               string                     `json:"name"`
	Type               string                     `json:"type,omitempty"` // "": XML
	Answer             Hook                       `json:"answer"`
	Hangup             Hook                       `json:"hangup"`
	Fallback           Hook                       `json:"fallback"`
	Message            Hook                       `json:"message"`
	Transfer           Hook                       `json:"sip_transfer"`
	Status             Hook                       `json:"status"`
	DefaultNumberApp   bool                       `json:"default_number_app,omitempty"`
	DefaultEndpointApp bool                       `json:"default_endpoint_app,omitempty"`
	DefaultApp         bool                       `json:"default_app,omitempty"`
	Enabled            bool                       `json:"enabled"`
	PublicURI          bool                       `json:"public_uri,omitempty"`
	LogIncomingMessage bool                       `json:"log_incoming_message,omitempty"`
	Origin             string                     `json:"origin,omitempty"`
	Compat             map[string]json.RawMessage `json:"compat,omitempty"`
	CreatedAt          time.Time                  `json:"created_at"`
	UpdatedAt          time.Time                  `json:"updated_at"`
	Revision           Revision                   `json:"-"`
}

// A Hook is one URL of an application, and how it is asked.
type Hook struct {
	URL    string `json:"url,omitempty"`
	Method string `json:"method,omitempty"` // GET or POST; "": POST
}

// ApplicationXML is the type of an application that answers with markup.
const ApplicationXML = "XML"

// Validate returns every mistake that keeps the application from being stored.
func (a *Application) Validate() []Problem {
	var ps problems
	ps.between("v", int64(a.V), currentVersion, currentVersion)
	ps.uuid("id", a.ID)
	ps.tenant("tenant", a.Tenant)
	ps.text("name", a.Name, 1, MaxName)
	if !IsNumericID(a.NumericID) {
		ps.add("numeric_id", CodeInvalid, "want %d digits", NumericDigits)
	}
	if a.SubAccount != nil {
		ps.text("sub_account", *a.SubAccount, 1, MaxName)
	}
	ps.word("type", a.Type, "", ApplicationXML)
	for _, h := range []struct {
		name string
		hook Hook
	}{{"answer", a.Answer}, {"hangup", a.Hangup}, {"fallback", a.Fallback}, {"message", a.Message}, {"sip_transfer", a.Transfer}, {"status", a.Status}} {
		h.hook.validate(&ps, h.name)
	}
	ps.word("origin", a.Origin, origins...)
	ps.compat("compat", a.Compat)
	return ps
}

// Unique is as of [Endpoint.Unique].
func (a *Application) Unique() []Claimed {
	return []Claimed{{SpaceNumeric, a.NumericID, "numeric_id"}}
}

func (h Hook) validate(ps *problems, at string) {
	switch {
	case len(h.URL) > MaxText:
		ps.add(at+".url", CodeTooLong, "%d bytes, want at most %d", len(h.URL), MaxText)
	case h.URL != "" && !isHTTP(h.URL):
		ps.add(at+".url", CodeInvalid, "want http:// or https:// with a host and without credentials")
	}
	ps.word(at+".method", h.Method, "", "GET", "POST")
}
