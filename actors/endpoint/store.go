package endpoint

import "errors"

// A Revision identifies one version of a stored object. Zero: none yet.
type Revision uint64

// What every store answers, whatever it is made of.
var (
	ErrNotFound = errors.New("no such object")
	ErrConflict = errors.New("the object changed meanwhile")
	ErrExists   = errors.New("the object exists already")
)
