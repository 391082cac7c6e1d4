package permit

import (
	"slices"
	"strings"

	"patchbay/cluster/subject"
)

// A Principal is who a credential speaks for: a process with its roles, or
// somebody outside.
type Principal struct {
	Roles []Role // of a process: any of the five; else one
	Name  string // of the tenant, or id of the agent
}

// Process is the principal of a process with these roles; the order does not
// matter. A node that only runs a broker is one of its own; beside other roles
// broker adds nothing but the making of streams.
func Process(roles ...string) Principal {
	var p Principal
	for _, r := range []Role{Edge, Actor, Media, Control, Broker} {
		if slices.Contains(roles, string(r)) {
			p.Roles = append(p.Roles, r)
		}
	}
	return p
}

// String names the principal: edge, actor+media, tenant.acme.
func (p Principal) String() string {
	words := make([]string, len(p.Roles))
	for i, r := range p.Roles {
		words[i] = string(r)
	}
	name := strings.Join(words, "+")
	if p.Name != "" {
		name += "." + p.Name
	}
	return name
}

// Outside reports whether it is no process of the cluster.
func (p Principal) Outside() bool {
	return p.has([]Role{Operator, Tenant, Worker, Key})
}

func (p Principal) has(any []Role) bool {
	return slices.ContainsFunc(p.Roles, func(r Role) bool { return slices.Contains(any, r) })
}

// Permissions are what the broker lets a principal do. Subjects may have
// wildcards.
type Permissions struct {
	Publish   []string
	Subscribe []string
	// Respond: it may answer what it was asked, wherever the answer goes. So it
	// must hear nothing but what our nodes ask it: who could send itself a question
	// would name any subject for the answer, and so publish there.
	Respond bool
}

// For returns the permissions of a principal.
func For(p Principal) Permissions {
	g := &grant{p: p, publish: map[string]bool{}, subscribe: map[string]bool{}}
	g.listen(Inbox(p) + ".>")
	if !p.Outside() { // see Permissions.Respond
		g.send(Inbox(p) + ".>") // to ask NATS alone whether it is there
	}
	for _, row := range Subjects {
		g.row(row)
	}
	for _, s := range Stores {
		g.store(s)
	}
	g.jetStream()
	return Permissions{Publish: sorted(g.publish), Subscribe: sorted(g.subscribe), Respond: p.has([]Role{Worker})}
}

// A grant collects what one principal may.
type grant struct {
	p                  Principal
	publish, subscribe map[string]bool
}

func (g *grant) send(subjects ...string) {
	for _, s := range subjects {
		g.publish[s] = true
	}
}

func (g *grant) listen(s string) { g.subscribe[s] = true }

func (g *grant) row(row Row) {
	full := row.Subject
	if full[0] != '$' {
		full = subject.Prefix + full
	}
	name := "*"
	if g.p.Name != "" {
		name = subject.Token(g.p.Name)
	}
	full = strings.ReplaceAll(full, own, name)
	if g.p.has(row.Publishers) {
		g.send(full)
	}
	if !g.p.has(row.Hearers) {
		return
	}
	g.listen(full)
	if row.Answered && !g.p.has([]Role{Worker}) {
		for _, asker := range row.Publishers {
			g.send(inboxes(asker))
		}
	}
}

// The subjects of JetStream's API. A process that reads a store may read it in
// every way; one that follows a part of it may only make a consumer for that.
func (g *grant) store(s Store) {
	api := "$JS.API."
	if g.p.has(s.Write) {
		g.send(s.Subject)
	}
	if g.p.has(s.Read) {
		g.send(api+"DIRECT.GET."+s.Stream, api+"DIRECT.GET."+s.Stream+".>", api+"STREAM.MSG.GET."+s.Stream,
			api+"CONSUMER.CREATE."+s.Stream+".>", api+"CONSUMER.INFO."+s.Stream+".*", api+"CONSUMER.DELETE."+s.Stream+".*",
			api+"CONSUMER.MSG.NEXT."+s.Stream+".*", "$JS.FC."+s.Stream+".>")
	}
	if g.p.has(s.Follow) {
		prefix := strings.TrimSuffix(s.Subject, ">")
		g.send(api+"CONSUMER.CREATE."+s.Stream+".*."+prefix+s.Feed, api+"CONSUMER.MSG.NEXT."+s.Stream+".*")
	}
	if g.p.has(finders) {
		g.send(api + "STREAM.INFO." + s.Stream)
	}
	if g.p.has(makers) {
		g.send(api+"STREAM.CREATE."+s.Stream, api+"STREAM.UPDATE."+s.Stream)
	}
	if g.p.has([]Role{Operator}) { // a backup
		g.send(api+"STREAM.SNAPSHOT."+s.Stream, "$JS.SNAPSHOT.ACK."+s.Stream+".>")
	}
}

func (g *grant) jetStream() {
	if g.p.has([]Role{Actor, Media, Control, Broker}) {
		g.send("$JS.API.INFO") // whether it answers
	}
}

// Inbox is what the inboxes of a principal begin with: nobody else may listen
// there. Of a process it has a token for each role that it may have, so that an
// answer can be allowed to those who ask, whatever else they are.
func Inbox(p Principal) string {
	if p.Outside() {
		words := "_INBOX_" + string(p.Roles[0])
		if p.Name != "" {
			words += "." + subject.Token(p.Name)
		}
		return words
	}
	words := []string{"_INBOX"}
	for _, r := range nodes {
		if p.has([]Role{r}) {
			words = append(words, string(r))
		} else {
			words = append(words, "-")
		}
	}
	return strings.Join(words, ".")
}

// inboxes matches those of every principal that has a role.
func inboxes(r Role) string {
	switch r {
	case Server:
		return "$SYS._INBOX.>"
	case Tenant, Worker, Key:
		return "_INBOX_" + string(r) + ".*.>"
	case Operator:
		return "_INBOX_" + string(r) + ".>"
	}
	words := []string{"_INBOX"}
	for _, n := range nodes {
		if n == r {
			words = append(words, string(r))
		} else {
			words = append(words, "*")
		}
	}
	return strings.Join(words, ".") + ".>"
}

func sorted(set map[string]bool) []string {
	list := make([]string, 0, len(set))
	for s := range set {
		list = append(list, s)
	}
	slices.Sort(list)
	return list
}
