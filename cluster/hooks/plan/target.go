package plan

import "time"

// A target is one webhook that something waits for.
type target struct {
	name     string
	lanes    map[string]*lane
	ready    []*lane // whose head is due, in the order in which it was
	waiting  int     // deliveries, those under way among them
	underway int
	queued   bool // in the plan's ring
	failures int  // in a row
	until    time.Time
	asleep   bool // in the plan's list of targets that are left alone
}

// nameOf names a target among those of all tenants, who choose ids as they like.
func nameOf(tenant, target string) string { return tenant + "/" + target }

// open reports that the target is left alone.
func (t *target) open(terms *Terms, now time.Time) bool {
	return t.failures >= terms.BreakAfter && now.Before(t.until)
}

// room reports whether one more delivery may be sent to it now.
func (t *target) room(terms *Terms, now time.Time) bool {
	switch {
	case t.failures == 0:
		return t.underway < terms.PerTarget
	case t.open(terms, now):
		return false
	}
	return t.underway == 0
}
