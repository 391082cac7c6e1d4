package endpoint

import (
	"encoding/json"
	"strings"
)

// A HeaderField is one SIP header field as it came.
type HeaderField struct{ Name, Value string }

// Headers joins the values of header fields of one name, whatever its case, as
// a webhook is shown them. The first one's spelling of the name stays.
func Headers(fields []HeaderField) map[string]string {
	joined := make(map[string]string, len(fields))
	spelt := make(map[string]string, len(fields))
	for _, f := range fields {
		lower := strings.ToLower(f.Name)
		name, known := spelt[lower]
		if !known {
			spelt[lower], joined[f.Name] = f.Name, f.Value
			continue
		}
		joined[name] += ", " + f.Value
	}
	return joined
}

// A Caller is what a call's context says of who calls; empty fields are not
// said.
type Caller struct{ ID, DisplayName, URI string }

// Context returns the context of a call for its agent: the
// template, over it the X- header fields (X-Foo-Bar: v is foo_bar; a value
// that is JSON is taken as such) and ultravox.sip. What the SIP message says
// wins over the template. A schema that is closed (additionalProperties:
// false) keeps out what it does not name. Nil: nothing is left.
func Context(template json.RawMessage, fields []HeaderField, from Caller, schema json.RawMessage) json.RawMessage {
	doc := map[string]json.RawMessage{}
	if len(template) > 0 && json.Unmarshal(template, &doc) != nil {
		doc = map[string]json.RawMessage{}
	}
	for name, value := range Headers(fields) {
		if key, ok := contextKey(name); ok {
			doc[key] = contextValue(value)
		}
	}
	if sip := from.said(); len(sip) > 0 {
		doc["ultravox"], _ = json.Marshal(map[string]any{"sip": sip}) // texts cannot fail
	}
	allowed, closed := named(schema)
	for key := range doc {
		if closed && !allowed[key] {
			delete(doc, key)
		}
	}
	if len(doc) == 0 {
		return nil
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return nil
	}
	return b
}

// said are the caller's fields that are not empty, by their names in a
// context.
func (c Caller) said() map[string]string {
	fields := map[string]string{"caller_id": c.ID, "from_display_name": c.DisplayName, "from_uri": c.URI}
	for key, value := range fields {
		if value == "" {
			delete(fields, key)
		}
	}
	return fields
}

// contextKey is the name that a header field has in a context.
func contextKey(name string) (string, bool) {
	lower := strings.ToLower(name)
	rest, ok := strings.CutPrefix(lower, "x-")
	return strings.ReplaceAll(rest, "-", "_"), ok && rest != ""
}

func contextValue(value string) json.RawMessage {
	if json.Valid([]byte(value)) {
		return json.RawMessage(value)
	}
	text, _ := json.Marshal(value) // a text cannot fail
	return text
}

// named returns what a JSON schema names, and whether it forbids the rest.
func named(schema json.RawMessage) (properties map[string]bool, closed bool) {
	var s struct {
		Properties           map[string]json.RawMessage `json:"properties"`
		AdditionalProperties json.RawMessage            `json:"additionalProperties"`
	}
	if len(schema) == 0 || json.Unmarshal(schema, &s) != nil || string(s.AdditionalProperties) != "false" {
		return nil, false
	}
	properties = make(map[string]bool, len(s.Properties))
	for name := range s.Properties {
		properties[name] = true
	}
	return properties, true
}
