package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"patchbay/internal/keys"
)

// suffix ends the name of every segment; unreadable is put behind the name of
// one that cannot be read.
const (
	suffix     = ".spool"
	unreadable = ".unreadable"
)

// A segment is one file of the spool.
type segment struct {
	number  uint64 // of all segments of the directory, in the order of their making
	path    string
	size    int64
	entries int
	taken   bool     // handed out by Next, not yet settled
	file    *os.File // while it is appended to
	seal    *sealer
}

// create makes a new segment and its file.
func create(dir string, number uint64, kind Kind, key keys.Derived) (_ *segment, err error) {
	g := &segment{number: number, path: filepath.Join(dir, fmt.Sprintf("%s-%016x%s", kind, number, suffix))}
	if g.seal, err = newSealer(kind, key); err != nil {
		return nil, err
	}
	if g.file, err = os.OpenFile(g.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
		return nil, err
	}
	if err = g.write(g.seal.head); err == nil {
		err = syncDir(dir) // else a power cut may take the whole file
	}
	if err != nil {
		return nil, errors.Join(err, g.file.Close(), os.Remove(g.path))
	}
	return g, nil
}

// write appends, all or nothing.
func (g *segment) write(b []byte) error {
	if _, err := g.file.Write(b); err != nil {
		return errors.Join(err, g.file.Truncate(g.size))
	}
	g.size += int64(len(b))
	return nil
}

// retire ends appending: what was written is on the disk then.
func (g *segment) retire(fsync func(*os.File) error) error {
	if g.file == nil {
		return nil
	}
	err := errors.Join(fsync(g.file), g.file.Close())
	g.file, g.seal = nil, nil
	return err
}

// found is a segment that an earlier process left. ok is false for files that
// are none.
func found(path string) (g *segment, kind Kind, ok bool, err error) {
	word, number, cut := strings.Cut(strings.TrimSuffix(filepath.Base(path), suffix), "-")
	n, err := strconv.ParseUint(number, 16, 64)
	switch {
	case !cut || err != nil:
		return nil, 0, false, nil
	case word == Events.String():
		kind = Events
	case word == Records.String():
		kind = Records
	case word == Snapshots.String():
		kind = Snapshots
	default:
		return nil, 0, false, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, kind, false, err
	}
	g = &segment{number: n, path: path, size: int64(len(text))}
	if len(text) > headSize {
		frames(text[headSize:], func([]byte) { g.entries++ })
	}
	return g, kind, true, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
