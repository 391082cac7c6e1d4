package control

import (
	"context"
	"time"

	"patchbay/actors/endpoint"
)

// Kept is the part of a [Store] about what is not decided by: applications,
// registrations that stand alone, throttles.
type Kept interface {
	CreateApplication(ctx context.Context, a endpoint.Application, terms endpoint.Terms) (endpoint.Revision, error)
	ApplicationByID(ctx context.Context, tenant, id string) (endpoint.Application, error)
	ApplicationByNumber(ctx context.Context, tenant, numeric string) (endpoint.Application, error)
	UpdateApplication(ctx context.Context, a endpoint.Application) (endpoint.Revision, error)
	DeleteApplication(ctx context.Context, a endpoint.Application) error
	Applications(ctx context.Context, tenant, cursor string, limit int) (page []endpoint.Application, next string, err error)

	CreateRegistration(ctx context.Context, r endpoint.Registration, terms endpoint.Terms) (endpoint.Revision, error)
	RegistrationByID(ctx context.Context, tenant, id string) (endpoint.Registration, error)
	UpdateRegistration(ctx context.Context, r endpoint.Registration) (endpoint.Revision, error)
	DeleteRegistration(ctx context.Context, r endpoint.Registration) error
	Registrations(ctx context.Context, tenant, cursor string, limit int) (page []endpoint.Registration, next string, err error)

	CreateThrottle(ctx context.Context, t endpoint.Throttle, terms endpoint.Terms) (endpoint.Revision, error)
	ThrottleByID(ctx context.Context, tenant, id string) (endpoint.Throttle, error)
	UpdateThrottle(ctx context.Context, t endpoint.Throttle) (endpoint.Revision, error)
	DeleteThrottle(ctx context.Context, t endpoint.Throttle) error
	Throttles(ctx context.Context, tenant, cursor string, limit int) (page []endpoint.Throttle, next string, err error)
	// TakeThrottle counts one more call, or returns how long it is until one is
	// allowed.
	TakeThrottle(ctx context.Context, t endpoint.Throttle, now time.Time) (wait time.Duration, err error)
}

// keptTable is the part about them.
func (o *Operations) keptTable() []operation {
	return []operation{
		own("application", "create", o.CreateApplication, endpoint.ScopeEndpointsManage),
		own("application", "get", o.GetApplication, endpoint.ScopeEndpointsRead),
		own("application", "list", o.ListApplications, endpoint.ScopeEndpointsRead),
		own("application", "update", o.UpdateApplication, endpoint.ScopeEndpointsManage),
		own("application", "delete", o.DeleteApplication, endpoint.ScopeEndpointsManage),
		own("registration", "create", o.CreateRegistration, endpoint.ScopeEndpointsManage),
		own("registration", "get", o.GetRegistration, endpoint.ScopeEndpointsRead),
		own("registration", "list", o.ListRegistrations, endpoint.ScopeEndpointsRead),
		own("registration", "update", o.UpdateRegistration, endpoint.ScopeEndpointsManage),
		own("registration", "delete", o.DeleteRegistration, endpoint.ScopeEndpointsManage),
		own("throttle", "create", o.CreateThrottle, endpoint.ScopeCallsManage),
		own("throttle", "get", o.GetThrottle, endpoint.ScopeCallsRead),
		own("throttle", "list", o.ListThrottles, endpoint.ScopeCallsRead),
		own("throttle", "update", o.UpdateThrottle, endpoint.ScopeCallsManage),
		own("throttle", "delete", o.DeleteThrottle, endpoint.ScopeCallsManage),
	}
}
