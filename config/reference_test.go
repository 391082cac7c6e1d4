package config_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"patchbay/config"
	"patchbay/internal/golden"
)

const referenceHead = `# Configuration

<!-- Written by config/reference_test.go: go test ./config -run Reference -update -->

Patchbay takes its settings from four places. A later one goes over an earlier one:

1. the defaults below;
2. a YAML file: ` + "`--config FILE`, or the variable `PATCHBAY_CONFIG`" + `;
3. environment variables: ` + "`PATCHBAY_`, then the key in capitals with `_` for `.`" + `;
4. flags.

A duration is a number with its unit: ` + "`150ms`, `20s`, `1h30m`" + `. A list is comma separated in the environment and in flags.
An unknown key, variable or flag is an error, and so is a value that cannot be used: the node does not start, and says everything
that is wrong at once, with the place where it was set. The variables that Kubernetes makes for a Service whose name starts with
` + "`patchbay` (`PATCHBAY_SERVICE_HOST` and its like) are passed over." + `

` + "`patchbay config check` checks a configuration without a start; `patchbay config default`" + ` writes a file with every setting.

Listeners (` + "`sip.udp`, `sip.tcp`, `sip.tls`, `sip.ws`, `sip.wss`, `http.listen`, `http.tls_listen`, `nats.listen`, `nats.cluster_listen`" + `) take ` + "`ip:port`, `:port` or `localhost:port`" + `;
port 0 is any free port.
`

// TestReferenceListsEverySetting keeps docs/configuration.md true.
func TestReferenceListsEverySetting(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(referenceHead)
	section := ""
	for _, s := range config.Settings() {
		if name, _, _ := strings.Cut(s.Key, "."); name != section {
			section = name
			fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| key | variable | type | default | what it does |\n|---|---|---|---|---|\n", name, sectionDoc(t, name))
		}
		value := "empty"
		if s.Default != "" {
			value = "`" + s.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", s.Key, s.Env, s.Type, value, strings.ReplaceAll(s.Doc, "|", `\|`))
	}
	golden.Compare(t, "../docs/configuration.md", []byte(b.String()))
}

func sectionDoc(t *testing.T, name string) string {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[config.Config]()) {
		if f.Tag.Get("koanf") == name {
			return f.Tag.Get("doc")
		}
	}
	t.Fatalf("no section %s", name)
	return ""
}

func TestEverySettingHasItsOwnVariableAndADescription(t *testing.T) {
	t.Parallel()
	seen := map[string]string{config.EnvFile: "the file"}
	for _, s := range config.Settings() {
		if other := seen[s.Env]; other != "" {
			t.Errorf("%s: %s is taken by %s", s.Key, s.Env, other)
		}
		seen[s.Env] = s.Key
		if s.Doc == "" || !strings.HasSuffix(s.Doc, ".") {
			t.Errorf("%s: no sentence says what it does: %q", s.Key, s.Doc)
		}
	}
}
