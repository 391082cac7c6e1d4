package keys

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxFile is the largest key file read, bytes.
const maxFile = 4096

// ErrExposed says that others on the machine may read or change a key file.
var ErrExposed = errors.New("open to others")

// ReadCluster reads the cluster key from its file. A file that others may read
// or change is refused (ErrExposed); its group may read it, for that is how
// Kubernetes mounts secrets. Other errors wrap ErrFormat or that of the file.
func ReadCluster(path string) (*Cluster, error) {
	text, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("cluster key %s: %w", path, err)
	}
	c, err := ParseCluster(text)
	if err != nil {
		return nil, fmt.Errorf("cluster key %s: %w", path, err)
	}
	return c, nil
}

// EnsureCluster is ReadCluster, but makes the file (mode 0600) with a new key
// where there is none, and then reports true. Of several processes that start
// at once one makes it, and all read the same.
func EnsureCluster(path string) (c *Cluster, made bool, err error) {
	text, err := newText()
	if err == nil {
		made, err = create(path, text)
	}
	if err != nil {
		return nil, false, fmt.Errorf("cluster key %s: %w", path, err)
	}
	c, err = ReadCluster(path)
	return c, made, err
}

// newText is the line of a key file with a new key.
func newText() (string, error) {
	var key [Size]byte
	if _, err := rand.Read(key[:]); err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	return hex.EncodeToString(key[:]), nil
}

// EnsureAdmin reads the admin key from its file under the rules of
// [ReadCluster], and makes the file with a new key where there is none, and
// then reports true.
func EnsureAdmin(path string) (a Admin, made bool, err error) {
	if made, err = create(path, NewAdmin().Reveal()); err != nil {
		return Admin{}, false, fmt.Errorf("admin key %s: %w", path, err)
	}
	text, err := read(path)
	if err == nil {
		a, err = ParseAdmin(text)
	}
	if err != nil {
		return Admin{}, false, fmt.Errorf("admin key %s: %w", path, err)
	}
	return a, made, nil
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	at, err := f.Stat()
	switch {
	case err != nil:
		return nil, cause(err)
	case !at.Mode().IsRegular():
		return nil, fmt.Errorf("%w: not a regular file", ErrFormat)
	case at.Mode().Perm()&0o037 != 0: // not the group's read bit
		return nil, fmt.Errorf("%w: mode %04o, want 0600", ErrExposed, at.Mode().Perm())
	case at.Size() > maxFile:
		return nil, fmt.Errorf("%w: %d bytes", ErrFormat, at.Size())
	}
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// create writes a line into a new file at path, and reports false where there
// is a file already. The file appears whole or not at all: it is written under
// another name and then linked, which fails where the name is taken.
func create(path, line string) (made bool, err error) {
	if _, err := os.Lstat(path); err == nil {
		return false, nil
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, err
	}
	f, err := os.CreateTemp(dir, ".key-*") // mode 0600
	if err != nil {
		return false, err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(line + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return false, err
	}
	err = os.Link(f.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, syncDir(dir)
}

// syncDir makes a new name in dir survive a loss of power.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// cause drops the path of a file error: the caller names it.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
