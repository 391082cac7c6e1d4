package keys

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// derivedHead begins a file of derived keys.
const derivedHead = "# patchbay derived keys, version 1\n"

// maxDerived is how many keys such a file may hold.
const maxDerived = 32

// Extract writes the keys of a few purposes as the text of a file, for a node
// that must not have the others: an edge that falls into a stranger's hands
// gives away no secret of the store. [ParseCluster] reads it.
func (c *Cluster) Extract(purposes ...Purpose) []byte {
	var b bytes.Buffer
	b.WriteString(derivedHead)
	for _, p := range purposes {
		keys := []Derived{c.Derive(p)}
		if previous, ok := c.Previous(p); ok {
			keys = append(keys, previous)
		}
		for _, d := range keys {
			secret := d.Secret.Reveal()
			fmt.Fprintf(&b, "%s %d %s\n", p, d.ID, hex.EncodeToString(secret[:]))
		}
	}
	return b.Bytes()
}

// parseDerived reads what Extract wrote: of each purpose one key, or the
// current and the previous one.
func parseDerived(text []byte) (*Cluster, error) {
	c := &Cluster{derived: map[Purpose][]Derived{}}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		if strings.HasPrefix(lines.Text(), "#") || lines.Text() == "" {
			continue
		}
		if n > maxDerived {
			return nil, fmt.Errorf("%w: more than %d lines", ErrFormat, maxDerived)
		}
		p, d, err := parseDerivedLine(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if old := c.derived[p]; len(old) > 1 || slices.ContainsFunc(old, func(o Derived) bool { return o.ID == d.ID }) {
			return nil, fmt.Errorf("line %d: %w: one more key for %s", n, ErrFormat, p)
		}
		c.derived[p] = append(c.derived[p], d)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if len(c.derived) == 0 {
		return nil, fmt.Errorf("%w: no key", ErrFormat)
	}
	return c, nil
}

func parseDerivedLine(line string) (Purpose, Derived, error) {
	words := strings.Fields(line)
	if len(words) != 3 || strings.Contains(words[2], ":") {
		return "", Derived{}, fmt.Errorf("%w: want purpose, id and 64 hex digits", ErrFormat)
	}
	id, err := strconv.ParseUint(words[1], 10, 8)
	if err != nil || id > MaxID {
		return "", Derived{}, fmt.Errorf("%w: want an id of 0 to %d", ErrFormat, MaxID)
	}
	r, err := parseRoot(words[2])
	if err != nil {
		return "", Derived{}, err
	}
	return Purpose(words[0]), Derived{uint8(id), r.key}, nil
}

// WriteFile puts text into a new file that only its owner may read (mode 0600).
// It refuses to write over a file.
func WriteFile(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write keys %s: %w", path, err)
	}
	return nil
}
