package control

import (
	"fmt"
	"time"

	"patchbay/actors/endpoint"
)

func registerSpecOf(r *endpoint.OutRegistration) RegisterSpec {
	return RegisterSpec{Username: r.Username, AuthUser: r.AuthUser, Server: r.Server, OutboundProxy: r.OutboundProxy,
		Transport: r.Transport, Region: r.Region, SecretSet: r.PasswordEnc != "", ExpiresS: int64(r.Expires / time.Second),
		Status: r.Status, Detail: r.Detail, Successful: r.Successful}
}

// putRegister writes how an endpoint registers.
func (o *Operations) putRegister(spec *RegisterSpec, ep *endpoint.Endpoint, at string) (*endpoint.OutRegistration, []endpoint.Problem, error) {
	if spec == nil {
		return nil, nil, nil
	}
	r := endpoint.OutRegistration{ID: ep.ID, ProjectID: ep.ProjectID, CreatedAt: o.Now()}
	if ep.Register != nil {
		r = *ep.Register
	}
	problems, err := o.putOut(*spec, &r, at)
	return &r, problems, err
}

// putOut writes spec over a registration. A new password is sealed; without one
// the old stays. This release registers nowhere, and the status says so.
func (o *Operations) putOut(spec RegisterSpec, r *endpoint.OutRegistration, at string) ([]endpoint.Problem, error) {
	r.Username, r.AuthUser, r.Server, r.OutboundProxy = spec.Username, spec.AuthUser, spec.Server, spec.OutboundProxy
	r.Transport, r.Region, r.Expires = spec.Transport, spec.Region, time.Duration(spec.ExpiresS)*time.Second
	r.Status, r.Detail, r.Successful = endpoint.RegisterDisabled, endpoint.RegisterNotServed, nil
	if spec.Password == "" || o.seals(r.PasswordEnc, spec.Password) {
		return nil, nil
	}
	if problems := endpoint.ValidatePassword(at+"password", spec.Password); len(problems) > 0 {
		return problems, nil
	}
	sealed, err := o.Sealer.Seal(spec.Password)
	if err != nil {
		return nil, fmt.Errorf("seal %spassword: %w", at, err)
	}
	r.PasswordEnc = sealed
	return nil, nil
}
