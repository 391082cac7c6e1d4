package dirlock_test

import (
	"errors"
	"path/filepath"
	"testing"

	"patchbay/internal/dirlock"
)

func TestADirectoryHasOneHolderAtATime(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	first, err := dirlock.Take(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dirlock.Take(dir); !errors.Is(err, dirlock.ErrInUse) {
		t.Errorf("a second holder: %v", err)
	}
	first.Release()
	second, err := dirlock.Take(dir)
	if err != nil {
		t.Fatal(err)
	}
	second.Release()
}
