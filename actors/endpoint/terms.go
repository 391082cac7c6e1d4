package endpoint

import (
	"errors"
	"time"
)

// YapprCreatesPerDay is how many endpoints keys of Yappr's kind create in one
// UTC day, where the account sets no limit of its own.
const YapprCreatesPerDay = 20

// YapprRequestsPerMinute is how many requests one key of Yappr's kind makes in a
// minute, where neither its project nor its account sets a limit.
const YapprRequestsPerMinute = 60

// ErrReused says that an idempotency key has been used for another request.
var ErrReused = errors.New("endpoint: idempotency key of another request")

// Terms are what a creation is subject to beside the object's own rules. They
// hold in the same write as the object, or there is no object.
type Terms struct {
	Day    string // UTC day that the creation counts for, yyyymmdd
	PerDay int    // endpoints that the tenant may create on it; 0: not counted
	Once   Once

	Project       string // of the credential, if it has a limit of its own
	ProjectPerDay int    // endpoints that its credentials may create, of those

	Registrations int // that the tenant may have, of endpoints and alone; 0: no limit
}

// Once makes a creation happen once under a key that its caller chose.
type Once struct {
	Key  string // digest of that key; "": the creation may happen again
	Body string // digest of the request
	ID   string // of what is made, where that is a part of an object
	Note string // kept with it, sealed: what the first reply said and nothing else holds
}

// A Repeat is what a second creation under the same key gets instead of an
// object: what the first one made.
type Repeat struct {
	ID   string
	Note string
}

// Error implements error.
func (r *Repeat) Error() string { return "created before as " + r.ID }

// Day returns the UTC day of a moment, as Terms and store name it.
func Day(now time.Time) string { return now.UTC().Format("20060102") }
