package ultravox

import (
	"net/http"

	"patchbay/actors/endpoint"
	"patchbay/control"
	"patchbay/internal/ultravox"
)

// A registration is one of ours at somebody's PBX, as this API shows it. Its
// password is never shown.
type registration struct {
	RegistrationID string  `json:"registrationId"`
	Created        string  `json:"created"`
	Username       string  `json:"username"`
	Proxy          string  `json:"proxy"`
	OutboundProxy  *string `json:"outboundProxy"`
	AuthUser       *string `json:"authUser"`
	Successful     *bool   `json:"successful"`
}

// registrationNames are the names of a registration's fields.
var registrationNames = names{"username": "username", "password": "password", "server": "proxy", "outbound_proxy": "outboundProxy", "auth_user": "authUser"}

func registrationOf(v control.RegistrationView) registration {
	return registration{RegistrationID: v.ID, Created: ultravox.Stamp(v.CreatedAt), Username: v.Username, Proxy: v.Server,
		OutboundProxy: orNone(v.OutboundProxy), AuthUser: orNone(v.AuthUser), Successful: v.Successful}
}

// orNone is a text, or nil where it is empty.
func orNone(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func listRegistrations(a *ask) (answer, error) {
	var all []registration
	cursor := ""
	for range maxWalk {
		got, err := do[control.Page[control.RegistrationView]](a, "registration", "list", control.PageRequest{Limit: maxPage, Cursor: cursor}, nil)
		if err != nil {
			return answer{}, err
		}
		for _, v := range got.Items {
			all = append(all, registrationOf(v))
		}
		if cursor = got.Next; cursor == "" {
			break
		}
	}
	return pageOf(a, all, func(r registration) (id, created string) { return r.RegistrationID, r.Created })
}

func getRegistration(a *ask) (answer, error) {
	v, err := do[control.RegistrationView](a, "registration", "get", control.ID{ID: a.http.PathValue("id")}, nil)
	return answer{status: http.StatusOK, body: registrationOf(v)}, err
}

func createRegistration(a *ask) (answer, error) {
	spec, err := a.registrationSpec(true)
	if err != nil {
		return answer{}, err
	}
	v, err := do[control.RegistrationView](a, "registration", "create", control.NewRegistration{Origin: endpoint.KindOfUltravox, Spec: raw(spec)}, registrationNames)
	return answer{status: http.StatusCreated, body: registrationOf(v)}, err
}

func patchRegistration(a *ask) (answer, error) {
	spec, err := a.registrationSpec(false)
	if err != nil {
		return answer{}, err
	}
	v, err := do[control.RegistrationView](a, "registration", "update", control.Change{ID: a.http.PathValue("id"), Patch: raw(spec)}, registrationNames)
	return answer{status: http.StatusOK, body: registrationOf(v)}, err
}

func deleteRegistration(a *ask) (answer, error) {
	_, err := do[control.Deleted](a, "registration", "delete", control.Target{ID: a.http.PathValue("id")}, nil)
	return answer{status: http.StatusNoContent}, err
}

// registrationSpec reads a body into fields of the operation's spec.
func (a *ask) registrationSpec(whole bool) (map[string]any, error) {
	f, err := a.form()
	if err != nil {
		return nil, err
	}
	f.ignore("registrationId", "created", "successful")
	if whole {
		f.need("username", "password", "proxy")
	}
	spec := map[string]any{}
	for _, field := range []struct {
		name, ours string
		max        int
	}{{"username", "username", endpoint.MaxExtension}, {"password", "password", 0}, {"proxy", "server", endpoint.MaxRegistrar}} {
		if text, ok := f.text(field.name, field.max); ok {
			spec[field.ours] = text
		}
	}
	for _, field := range []struct {
		name, ours string
		max        int
	}{{"outboundProxy", "outbound_proxy", endpoint.MaxRegistrar}, {"authUser", "auth_user", endpoint.MaxExtension}} {
		if f.has(field.name) {
			spec[field.ours] = f.orNull(field.name, field.max) // null removes it
		}
	}
	return spec, f.done()
}
