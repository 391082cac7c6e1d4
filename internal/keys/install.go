package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// installed is the mode of a key file that is there for others to mount.
const installed = 0o400

// An Owner is who may read an installed key file: a user and a group by number.
type Owner struct{ UID, GID int }

// Given reads the key file at path as text, to install it: "" where it holds
// nothing but lines that begin with #, which is how a file says that no key is
// given. Its form and its mode are checked as [ReadCluster] does; a file
// without a key may be read by all.
func Given(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("cluster key %s: %w", path, cause(err))
	}
	if len(text) <= maxFile && blank(string(text)) {
		return "", nil
	}
	if _, err := ReadCluster(path); err != nil {
		return "", err
	}
	return string(text), nil
}

func blank(text string) bool {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return false
		}
	}
	return true
}

// Install puts the key file text into dir as name, whole or not at all, for its
// owner alone to read. What is there already is replaced.
func Install(dir, name, text string, owner Owner) error {
	path := filepath.Join(dir, name)
	if err := install(dir, path, text, owner); err != nil {
		return fmt.Errorf("install %s: %w", path, cause(err))
	}
	return nil
}

func install(dir, path, text string, owner Owner) error {
	f, err := os.CreateTemp(dir, ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(installed), f.Chown(owner.UID, owner.GID), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// Kept returns the text of the key file that [Install] put into dir before, or
// of a new key where there is none, and then reports true.
func Kept(dir, name string) (text string, made bool, err error) {
	path := filepath.Join(dir, name)
	if _, err = ReadCluster(path); errors.Is(err, fs.ErrNotExist) {
		text, err = newText()
		return text, true, err
	}
	if err != nil {
		return "", false, err
	}
	body, err := read(path)
	if err != nil {
		return "", false, fmt.Errorf("cluster key %s: %w", path, err)
	}
	return string(body), false, nil
}
