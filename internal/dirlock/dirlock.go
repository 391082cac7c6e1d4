// Package dirlock keeps a directory for one process. It decides who of several
// has it: the first, until it lets go or dies, however it dies.
package dirlock

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrInUse says that another process keeps its data in the directory.
var ErrInUse = errors.New("another process uses it")

// A Lock holds a directory by flock(2): the kernel lets go of it when the
// process ends.
type Lock struct{ file *os.File }

// Take makes the directory (mode 0700) if it is not there, and locks it. The
// error wraps ErrInUse where another process has it.
func Take(dir string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "patchbay.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrInUse
		}
		return nil, fmt.Errorf("flock: %w", err)
	}
	return &Lock{file: f}, nil
}

// Release lets go of the directory. The file stays.
func (l *Lock) Release() { _ = l.file.Close() }
