package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"patchbay/actors/endpoint"
)

// A ThrottleSpec is what an owner may set of a throttle.
type ThrottleSpec struct {
	Name  string                  `json:"name"`
	Rules []endpoint.ThrottleRule `json:"rules"`
}

// A ThrottleView is a throttle as its owner reads it.
type ThrottleView struct {
	ID        string            `json:"id"`
	CreatedAt time.Time         `json:"created_at"`
	UpdatedAt time.Time         `json:"updated_at"`
	Revision  endpoint.Revision `json:"revision"`
	ThrottleSpec
}

// A NewThrottle is the request of throttle.create.
type NewThrottle struct {
	ID   string          `json:"id,omitempty"` // a UUID of the caller's choice; "": made here
	Spec json.RawMessage `json:"spec"`         // a ThrottleSpec over the defaults
}

// Throttle counts one more call under a throttle of the tenant. It is
// [CodeRate], with the time to wait, where one of its rules is used up, and
// [CodeInvalid] of field throttle where there is no such throttle. All control
// nodes count together.
func (o *Operations) Throttle(ctx context.Context, tenant, id string) error {
	t, err := o.Store.ThrottleByID(ctx, tenant, id)
	if errors.Is(err, endpoint.ErrNotFound) {
		return invalid("throttle", "unknown", "no such throttle")
	}
	if err != nil {
		return fmt.Errorf("look up throttle: %w", err)
	}
	wait, err := o.Store.TakeThrottle(ctx, t, o.Now())
	if err != nil {
		return fmt.Errorf("count under a throttle: %w", err)
	}
	if wait > 0 {
		return &Error{Code: CodeRate, Message: "the throttle allows no more calls for now", RetryAfterMs: (wait + time.Millisecond - 1).Milliseconds()}
	}
	return nil
}

// CreateThrottle makes a throttle.
func (o *Operations) CreateThrottle(ctx context.Context, tenant string, in NewThrottle) (ThrottleView, error) {
	if before, err := o.repeated(ctx, tenant); err != nil || before.ID != "" {
		return o.throttleAgain(ctx, tenant, before, err)
	}
	spec, err := merge(ThrottleSpec{Name: "throttle"}, in.Spec)
	if err != nil {
		return ThrottleView{}, err
	}
	t := endpoint.Throttle{V: 1, ID: orNewUUID(in.ID), Tenant: tenant, CreatedAt: o.Now()}
	if problems := spec.put(&t, o.Now()); len(problems) > 0 {
		return ThrottleView{}, invalidAll(problems)
	}
	if t.Revision, err = o.Store.CreateThrottle(ctx, t, o.terms(ctx, tenant, nil)); err != nil {
		if before, err := repeatOf(err); err == nil {
			return o.throttleAgain(ctx, tenant, before, nil)
		}
		return ThrottleView{}, fmt.Errorf("create throttle: %w", err)
	}
	return throttleViewOf(t), nil
}

func (o *Operations) throttleAgain(ctx context.Context, tenant string, before endpoint.Repeat, err error) (ThrottleView, error) {
	return madeAgain(ctx, tenant, before, err, o.Store.ThrottleByID, throttleViewOf)
}

// GetThrottle returns one throttle.
func (o *Operations) GetThrottle(ctx context.Context, tenant string, in ID) (ThrottleView, error) {
	return got(ctx, tenant, in, "throttle", o.Store.ThrottleByID, throttleViewOf)
}

// ListThrottles returns one page of the tenant's throttles, oldest first.
func (o *Operations) ListThrottles(ctx context.Context, tenant string, in PageRequest) (Page[ThrottleView], error) {
	return listed(ctx, tenant, in, "throttles", o.Store.Throttles, throttleViewOf)
}

// UpdateThrottle changes a throttle; what was counted stays counted.
func (o *Operations) UpdateThrottle(ctx context.Context, tenant string, in Change) (ThrottleView, error) {
	if err := (ID{in.ID}).check(); err != nil {
		return ThrottleView{}, err
	}
	t, err := o.Store.ThrottleByID(ctx, tenant, in.ID)
	if err == nil && in.stale(t.Revision) {
		err = endpoint.ErrConflict
	}
	if err != nil {
		return ThrottleView{}, fmt.Errorf("update throttle %s: %w", in.ID, err)
	}
	spec, err := merge(ThrottleSpec{Name: t.Name, Rules: t.Rules}, in.Patch)
	if err != nil {
		return ThrottleView{}, err
	}
	if problems := spec.put(&t, o.Now()); len(problems) > 0 {
		return ThrottleView{}, invalidAll(problems)
	}
	if t.Revision, err = o.Store.UpdateThrottle(ctx, t); err != nil {
		return ThrottleView{}, fmt.Errorf("update throttle %s: %w", in.ID, err)
	}
	return throttleViewOf(t), nil
}

// DeleteThrottle removes a throttle. Calls that name it are refused.
func (o *Operations) DeleteThrottle(ctx context.Context, tenant string, in Target) (Deleted, error) {
	if err := in.check(); err != nil {
		return Deleted{}, err
	}
	t, err := o.Store.ThrottleByID(ctx, tenant, in.ID)
	if err == nil && in.stale(t.Revision) {
		err = endpoint.ErrConflict
	}
	if err == nil {
		err = o.Store.DeleteThrottle(ctx, t)
	}
	if err != nil {
		return Deleted{}, fmt.Errorf("delete throttle %s: %w", in.ID, err)
	}
	return Deleted{in.ID}, nil
}

func (s ThrottleSpec) put(t *endpoint.Throttle, now time.Time) []endpoint.Problem {
	t.Name, t.Rules, t.UpdatedAt = s.Name, s.Rules, now
	return t.Validate()
}

func throttleViewOf(t endpoint.Throttle) ThrottleView {
	return ThrottleView{ID: t.ID, CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt, Revision: t.Revision,
		ThrottleSpec: ThrottleSpec{Name: t.Name, Rules: t.Rules}}
}
