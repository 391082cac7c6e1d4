package permit

import "patchbay/cluster/subject"

// A Holder is a program that shows a tenant's API key, and what the key's scopes
// come to. The broker narrows the subjects by them; what else of a key counts,
// such as its project, travels as its id in the subject.
type Holder struct {
	Tenant     string
	Key        string   // the key's id
	Whole      bool     // it may do all that its tenant may, and leave the key's id out
	Operations []string // noun.verb, that it may ask with the key's id; Whole: all
	Events     []string // kinds of the tenant's events that it may hear, such as call; Whole: all
	Agent      string   // whose worker it is; "": nobody's
}

// ForKey returns what a program with an API key may do: no more than the table
// has for [Key]. A worker hears none of its tenant's events: it could answer
// them in the stream's place, see [Permissions].Respond.
func ForKey(h Holder) Permissions {
	g := &grant{publish: map[string]bool{}, subscribe: map[string]bool{}}
	g.listen(InboxOfKey(h.Key) + ".>") // and sends nothing there: a worker may show the same key
	tenant, key := subject.Token(h.Tenant), subject.Token(h.Key)
	if h.Whole {
		h.Operations = []string{"*.*"}
		g.send(subject.Prefix + "ctl." + tenant + ".*.*")
	}
	for _, op := range h.Operations {
		g.send(subject.Prefix + "ctl." + tenant + "." + op + "." + key)
	}
	switch {
	case h.Agent != "":
		g.worker(subject.Prefix + "agent." + subject.Token(h.Agent))
	case h.Whole:
		g.listen(subject.Prefix + "evt.*." + tenant + ".>")
	default:
		g.events(tenant, h.Events)
	}
	return Permissions{Publish: sorted(g.publish), Subscribe: sorted(g.subscribe), Respond: h.Agent != ""}
}

// events adds the kinds of a tenant's events that a key may hear.
func (g *grant) events(tenant string, kinds []string) {
	for _, kind := range kinds {
		at := subject.Prefix + "evt.*." + tenant + "." + kind
		g.listen(at)
		g.listen(at + ".>")
	}
}

// worker adds what a worker of one agent needs, of that agent's calls alone.
func (g *grant) worker(agent string) {
	g.listen(agent + ".offer")
	g.listen(agent + ".w.*.*")
	g.listen(agent + ".call.*.evt")
	g.send(agent+".hb", agent+".call.*.do")
}

// InboxOfKey is what the inboxes of programs that show an API key begin with.
func InboxOfKey(id string) string { return "_INBOX_" + string(Key) + "." + subject.Token(id) }
