package permit

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"patchbay/internal/keys"
)

// Markdown writes the table for docs/permissions.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| subject | who publishes | who hears it | what |\n|---|---|---|---|\n")
	for _, r := range Subjects {
		name := r.Subject
		if name[0] != '$' {
			name = "pb.v1." + strings.ReplaceAll(name, own, "<own>")
		}
		hearers := words(r.Hearers)
		if r.Answered {
			hearers += "; answers"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, words(r.Publishers), hearers, r.What)
	}
	b.WriteString("\n| stream | who writes | who reads | by a filtered consumer | what |\n|---|---|---|---|---|\n")
	for _, s := range Stores {
		feed := ""
		if s.Feed != "" {
			feed = words(s.Follow) + ": `" + s.Feed + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", s.Stream, words(s.Write), words(s.Read), feed, s.What)
	}
	return b.String()
}

func words(roles []Role) string {
	list := make([]string, len(roles))
	for i, r := range roles {
		list[i] = string(r)
	}
	return strings.Join(list, ", ")
}

// configHead of a NATS server of the operator's own is what the embedded broker
// has, too (package broker).
const configHead = `# Made by "patchbay keys nats". Put it into the server's configuration with "include".
max_payload: 256KB
ping_interval: "2s"
ping_max: 2
authorization {
`

// A Callout says whom the server asks about programs with API keys: it knows the
// answers by these keys (package callout).
type Callout struct{ Issuer, XKey string }

// Config writes a configuration for a NATS server of the operator's own that
// knows these principals as the embedded broker would: processes by their
// nkeys' public halves, outsiders by a hash of their password. With ask it asks
// control nodes about everybody else.
func Config(c *keys.Cluster, all []Principal, ask *Callout) (string, error) {
	var b strings.Builder
	var names []string
	for _, p := range all {
		who, err := credentials(c, p)
		if err != nil {
			return "", fmt.Errorf("credential of %s: %w", p, err)
		}
		for _, k := range who {
			user(&b, p, k.line)
			names = append(names, fmt.Sprintf("%q", k.name))
		}
	}
	head := configHead
	if ask != nil {
		head += fmt.Sprintf(configCallout, ask.Issuer, ask.XKey, strings.Join(names, ",\n      "))
	}
	return head + "  users: [\n" + b.String() + "  ]\n}\n", nil
}

// configCallout has the server's own users need no asking, and everybody else
// answered within less than ping_interval.
const configCallout = `  timeout: 1.9
  auth_callout {
    issuer: %s
    xkey: %s
    auth_users: [
      %s
    ]
  }
`

// A known is how a server's configuration knows a credential.
type known struct{ name, line string }

// credentials are how a server's configuration knows a principal.
func credentials(c *keys.Cluster, p Principal) (all []known, err error) {
	if p.Name == "" {
		nkeys, err := Logins(c, p)
		for _, k := range nkeys {
			all = append(all, known{k, "nkey: " + k})
		}
		return all, err
	}
	// Nobody can try all passwords of 256 random bits: there is nothing to slow
	// down.
	hash, err := bcrypt.GenerateFromPassword([]byte(Password(c, p)), bcrypt.MinCost)
	return []known{{p.String(), fmt.Sprintf("user: %q, password: %q", p, hash)}}, err
}

func user(b *strings.Builder, p Principal, who string) {
	may := For(p)
	fmt.Fprintf(b, "    { # %s\n      %s\n      permissions: {\n", p, who)
	list(b, "publish", may.Publish)
	list(b, "subscribe", may.Subscribe)
	if may.Respond {
		b.WriteString("        allow_responses: { max: 1, expires: \"2m\" }\n")
	}
	b.WriteString("      }\n    }\n")
}

func list(b *strings.Builder, name string, subjects []string) {
	quoted := make([]string, len(subjects))
	for i, s := range slices.Sorted(slices.Values(subjects)) {
		quoted[i] = fmt.Sprintf("%q", s)
	}
	fmt.Fprintf(b, "        %s: { allow: [\n          %s\n        ] }\n", name, strings.Join(quoted, ",\n          "))
}
