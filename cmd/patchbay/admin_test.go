package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"patchbay/cluster/store"
)

func TestTheFirstAccountIsWaitedForWhileTheStoreIsSlow(t *testing.T) {
	t.Parallel()
	slow, broken := fmt.Errorf("write acct.default: %w: the outcome is not known", store.ErrUnavailable), errors.New("no")
	for name, tc := range map[string]struct {
		all  []error // of one try after the other
		want error
	}{
		"at once":       {[]error{nil}, nil},
		"at the third":  {[]error{slow, slow, nil}, nil},
		"never":         {[]error{slow}, slow},
		"what is wrong": {[]error{slow, broken}, broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 30*firstAgain)
				defer cancel()
				tries := 0
				err := patiently(ctx, func() error {
					tries++
					return tc.all[min(tries, len(tc.all))-1]
				})
				if !errors.Is(err, tc.want) || tries < len(tc.all) {
					t.Errorf("%v after %d tries, want %v", err, tries, tc.want)
				}
			})
		})
	}
}
