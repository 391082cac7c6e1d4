package archtest

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// doors never import one another: each owns the small interfaces it needs, and
// cmd/patchbay/roles.go binds them.
var doors = []string{"sip", "media", "control", "cluster"}

// ours says what a folder may import of this module besides itself. The
// longest entry that fits counts.
var ours = map[string][]string{
	"actors":          {"actors", "internal"},
	"actors/endpoint": {},
	"actors/call":     {"actors/endpoint"},
	"config":          {},
	"sip":             {"sip", "actors", "config", "internal"},
	"media":           {"media", "actors", "config", "internal"},
	"control":         {"control", "actors", "config", "internal"},
	"cluster":         {"cluster", "actors", "config", "internal"},
	"internal":        {"internal", "actors", "config", "sip", "media", "control", "cluster"}, // see TestHelpersDoNotJoinDoors
	"cmd":             {"cmd", "internal", "actors", "config", "sip", "media", "control", "cluster"},
	"examples":        {},
	"bench":           {"bench", "internal"},
}

// others says where a module of somebody else may be imported. One that is not
// here has no place yet: give it one, with a line in docs/adr/0007-libraries.md.
var others = map[string][]string{
	"github.com/emiago/sipgo":             {"sip", "bench"},
	"github.com/pion":                     {"media", "internal/echoagent", "examples", "bench"},
	"github.com/nats-io/nats.go":          {"cluster", "control", "internal/echoagent", "internal/testkit", "examples", "bench"},
	"github.com/nats-io/nuid":             {"cluster"},
	"github.com/nats-io/nkeys":            {"cluster"},
	"github.com/nats-io/jwt":              {"cluster"},
	"golang.org/x/crypto":                 {"cluster"},
	"github.com/nats-io/nats-server/v2":   {"cluster", "internal/testkit", "bench"},
	"go.uber.org/fx":                      {"cmd", "internal/lifecycle"}, // and files named module.go
	"github.com/spf13/cobra":              {"cmd"},
	"github.com/spf13/pflag":              {"cmd"},
	"github.com/knadh/koanf":              {"config"},
	"github.com/prometheus/client_golang": {"internal/telemetry"},
	"github.com/coder/websocket":          {"sip", "control", "media", "internal"},
	"golang.org/x/crypto/x509roots":       {"cmd"},
	"golang.org/x/net":                    {"sip", "media", "control", "cluster", "internal", "bench"},
	"golang.org/x/sys":                    {"sip", "media", "control", "cluster", "internal"},
	"github.com/icholy/digest":            {"sip"},
	"github.com/danielgtaylor/huma":       {"control"},
	"github.com/pires/go-proxyproto":      {"sip"},
	"github.com/miekg/dns":                {"sip", "internal/testkit"},
	"golang.org/x/sync":                   {"sip"},
	"go.opentelemetry.io":                 {"internal/telemetry"},
}

// testOnly are imported by tests alone.
var testOnly = []string{"testing", "pgregory.net/rapid", "go.uber.org/goleak", module + "internal/testkit", module + "internal/golden"}

func TestImports(t *testing.T) {
	t.Parallel()
	var findings []string
	for _, s := range sources(t) {
		findings = append(findings, importFindings(s)...)
	}
	report(t, findings)
}

func importFindings(s source) (findings []string) {
	if s.test || s.dir == "." {
		return nil
	}
	for _, imp := range s.imports() {
		if why := forbidden(s, imp); why != "" {
			findings = append(findings, fmt.Sprintf("%s imports %s: %s", s.path, imp, why))
		}
	}
	return findings
}

// forbidden says why a file may not import a path, or "".
func forbidden(s source, imp string) string {
	first, _, _ := strings.Cut(imp, "/")
	mine, isOurs := strings.CutPrefix(imp, module)
	switch {
	case fits(imp, testOnly...) && !under(s.dir, "internal/testkit", "internal/golden"):
		return "only tests may"
	case isOurs && module+s.dir == imp:
		return ""
	case isOurs && path.Base(s.path) == "module.go" && mine == "internal/lifecycle":
		return ""
	case isOurs:
		if allowed, ok := longest(ours, s.dir); !ok || !under(mine, allowed...) {
			return s.dir + " may import of ours " + list(allowed)
		}
	case strings.Contains(first, "."):
		return foreign(s, imp)
	}
	return ""
}

// foreign says why a file may not import a module of somebody else, or "".
func foreign(s source, imp string) string {
	folders, ok := longest(others, imp)
	switch {
	case !ok:
		return "no place yet: see others in internal/archtest/imports_test.go"
	case imp == "go.uber.org/fx" && path.Base(s.path) == "module.go":
		return ""
	case !under(s.dir, folders...):
		return "only " + list(folders) + " may"
	}
	return ""
}

// longest returns the entry of the longest key that the path is or lies in.
func longest(table map[string][]string, name string) (value []string, ok bool) {
	length := -1
	for key, v := range table {
		if under(name, key) && len(key) > length {
			value, ok, length = v, true, len(key)
		}
	}
	return value, ok
}

func fits(imp string, paths ...string) bool { return under(imp, paths...) }

func list(words []string) string {
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, ", ")
}

// TestHelpersDoNotJoinDoors follows the imports of each door through internal:
// a helper that uses one door is no way from another into it.
func TestHelpersDoNotJoinDoors(t *testing.T) {
	t.Parallel()
	report(t, joinFindings(sources(t)))
}

func joinFindings(all []source) (findings []string) {
	graph := map[string][]string{}
	for _, s := range all {
		for _, imp := range s.imports() {
			if mine, ok := strings.CutPrefix(imp, module); ok && !s.test {
				graph[s.dir] = append(graph[s.dir], mine)
			}
		}
	}
	for _, s := range all {
		door, _, _ := strings.Cut(s.dir, "/")
		if s.test || !slices.Contains(doors, door) {
			continue
		}
		for _, imp := range s.imports() {
			if mine, ok := strings.CutPrefix(imp, module); ok && under(mine, "internal") {
				if other := reaches(graph, mine, door, map[string]bool{}); other != "" {
					findings = append(findings, fmt.Sprintf("%s imports %s, and with it %s: doors do not import one another", s.path, imp, other))
				}
			}
		}
	}
	return findings
}

// reaches returns the first package of another door that a helper imports, by
// way of other helpers too.
func reaches(graph map[string][]string, from, door string, seen map[string]bool) string {
	if seen[from] {
		return ""
	}
	seen[from] = true
	for _, next := range graph[from] {
		first, _, _ := strings.Cut(next, "/")
		if slices.Contains(doors, first) && first != door {
			return next
		}
		if under(next, "internal") {
			if other := reaches(graph, next, door, seen); other != "" {
				return other
			}
		}
	}
	return ""
}

func TestImportsFindsWhatBreaksThem(t *testing.T) {
	t.Parallel()
	code := func(imports ...string) string {
		text := "package x\n"
		for _, i := range imports {
			text += fmt.Sprintf("import %q\n", i)
		}
		return text
	}
	breaking(t, importFindings, map[string]string{
		"sip/edge/a.go":           code("patchbay/sip/wire", "patchbay/actors/call", "patchbay/internal/web", "golang.org/x/net/ipv4"),
		"sip/edge/b.go":           code("patchbay/media/rtp"),
		"sip/edge/c_test.go":      code("patchbay/media/rtp", "pgregory.net/rapid"),
		"media/a.go":              code("github.com/emiago/sipgo/sip"),
		"media/b.go":              code("github.com/pion/rtp", "patchbay/media/rtp"),
		"media/module.go":         code("go.uber.org/fx", "patchbay/internal/lifecycle"),
		"media/c.go":              code("go.uber.org/fx"),
		"actors/call/a.go":        code("patchbay/actors"),
		"actors/a.go":             code("github.com/nats-io/nats.go/jetstream"),
		"cluster/store/a.go":      code("patchbay/internal/testkit"),
		"control/a.go":            code("example.com/new/thing"),
		"unknown/a.go":            code("patchbay/config"),
		"internal/echoagent/a.go": code("github.com/pion/webrtc/v4", "github.com/nats-io/nats.go"),
	}, map[string]string{
		"sip/edge/b.go":      "sip/edge/b.go imports patchbay/media/rtp: sip/edge may import of ours sip, actors, config, internal",
		"media/a.go":         "media/a.go imports github.com/emiago/sipgo/sip: only sip, bench may",
		"media/c.go":         "media/c.go imports go.uber.org/fx: only cmd, internal/lifecycle may",
		"actors/call/a.go":   "actors/call/a.go imports patchbay/actors: actors/call may import of ours actors/endpoint",
		"actors/a.go":        "actors/a.go imports github.com/nats-io/nats.go/jetstream: only cluster, control, internal/echoagent, internal/testkit, examples, bench may",
		"cluster/store/a.go": "cluster/store/a.go imports patchbay/internal/testkit: only tests may",
		"control/a.go":       "control/a.go imports example.com/new/thing: no place yet: see others in internal/archtest/imports_test.go",
		"unknown/a.go":       "unknown/a.go imports patchbay/config: unknown may import of ours nothing",
	})
}

func TestJoinedDoorsAreFound(t *testing.T) {
	t.Parallel()
	var all []source
	for name, imp := range map[string]string{
		"media/a.go":           "patchbay/internal/one",
		"sip/a.go":             "patchbay/internal/one",
		"internal/one/a.go":    "patchbay/internal/two",
		"internal/two/a.go":    "patchbay/sip/wire",
		"internal/two/loop.go": "patchbay/internal/one",
	} {
		s, err := parse(name, fmt.Sprintf("package x\nimport %q\n", imp))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	want := []string{"media/a.go imports patchbay/internal/one, and with it sip/wire: doors do not import one another"}
	if got := joinFindings(all); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
