package control_test

import (
	"context"
	"testing"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

func TestATenantWhoseRequestsHangDoesNotKeepOthersOut(t *testing.T) {
	t.Parallel()
	store := newShelf()
	c := serve(t, store, nil) // of 8 places a tenant may take 2
	store.slow = make(chan struct{})
	store.accounts["globex"] = endpoint.Account{Tenant: "globex"}
	hang := make(chan error, 2)
	for range 2 {
		go func() {
			err := error(&control.Error{Code: control.CodeBusy})
			for codeOf(err) == control.CodeBusy { // one of the questions below had the place
				err = c.Do(context.WithoutCancel(t.Context()), "endpoint", "get", control.ID{ID: "none"}, nil)
			}
			hang <- err
		}()
	}
	for refusedAs(c, t) != control.CodeBusy { // until both hang
		time.Sleep(time.Millisecond)
	}
	for _, other := range []string{"globex", endpoint.OperatorTenant} {
		o := c
		o.Tenant = other
		mustDo[control.Page[control.EndpointView]](t, o, "endpoint", "list", control.PageRequest{})
	}
	close(store.slow)
	for range 2 {
		if err := <-hang; codeOf(err) != control.CodeNotFound {
			t.Error(err)
		}
	}
	for refusedAs(c, t) != "" { // the places are free again
		time.Sleep(time.Millisecond)
	}
}

// refusedAs returns the code of a list of endpoints.
func refusedAs(c control.Client, t *testing.T) control.Code {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return codeOf(c.Do(ctx, "endpoint", "list", control.PageRequest{}, nil))
}
