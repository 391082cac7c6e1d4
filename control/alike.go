package control

import (
	"context"
	"errors"
	"fmt"

	"patchbay/actors/endpoint"
)

// got, listed and madeAgain are done alike to every kind of object that is read
// by its id.

// got returns the object with an id, as it is shown.
func got[T, V any](ctx context.Context, tenant string, in ID, what string,
	read func(ctx context.Context, tenant, id string) (T, error), view func(T) V) (v V, err error) {
	if err := in.check(); err != nil {
		return v, err
	}
	one, err := read(ctx, tenant, in.ID)
	if err != nil {
		return v, fmt.Errorf("get %s %s: %w", what, in.ID, err)
	}
	return view(one), nil
}

// listed returns one page of what a tenant has of a kind.
func listed[T, V any](ctx context.Context, tenant string, in PageRequest, what string,
	read func(ctx context.Context, tenant, cursor string, limit int) ([]T, string, error), view func(T) V) (Page[V], error) {
	limit, err := in.limit()
	if err != nil {
		return Page[V]{}, err
	}
	all, next, err := read(ctx, tenant, in.Cursor, limit)
	if err != nil {
		return Page[V]{}, fmt.Errorf("list %s: %w", what, err)
	}
	page := Page[V]{Items: make([]V, len(all)), Next: next}
	for i, v := range all {
		page.Items[i] = view(v)
	}
	return page, nil
}

// madeAgain answers a creation that was made before with what it made, as it
// stands. err is why that is not known.
func madeAgain[T, V any](ctx context.Context, tenant string, before endpoint.Repeat, err error,
	read func(ctx context.Context, tenant, id string) (T, error), view func(T) V) (v V, _ error) {
	var one T
	if err == nil {
		one, err = read(ctx, tenant, before.ID)
	}
	if err != nil {
		return v, again(err)
	}
	return view(one), nil
}

// again says that what a repeated creation had made is gone since.
func again(err error) error {
	if errors.Is(err, endpoint.ErrNotFound) {
		return &Error{Code: CodeConflict, Message: "what this idempotency key made has been deleted since"}
	}
	return err
}
