package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/knadh/koanf/parsers/yaml"

	"patchbay/config"
)

// These tests hold compose.yaml, Dockerfile and .dockerignore to what the
// program knows: its settings, its ports, its times. `make smoke` runs them.

// tree is the repository.
const tree = "../.."

// A service is one of compose.yaml, as compose sees it: variables that nobody
// set have their defaults.
type service map[string]any

// variable is one that compose replaces: ${NAME} or ${NAME:-default}.
var variable = regexp.MustCompile(`\$\{[A-Z0-9_]+(?::-([^}]*))?\}`)

func composeFile(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(tree, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := yaml.Parser().Unmarshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return replaced(all).(map[string]any)
}

// replaced gives every variable its default.
func replaced(value any) any {
	switch v := value.(type) {
	case string:
		return variable.ReplaceAllString(v, "$1")
	case []any:
		for i := range v {
			v[i] = replaced(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = replaced(v[k])
		}
	}
	return value
}

func composeServices(t *testing.T) map[string]service {
	t.Helper()
	all := map[string]service{}
	for name, s := range section(composeFile(t), "services") {
		all[name] = s.(map[string]any)
	}
	return all
}

func section(m map[string]any, key string) map[string]any {
	found, _ := m[key].(map[string]any)
	return found
}

// text is a value of a service, as compose reads it.
func (s service) text(key string) string { return fmt.Sprint(s[key]) }

func (s service) list(key string) (words []string) {
	all, _ := s[key].([]any)
	for _, v := range all {
		words = append(words, fmt.Sprint(v))
	}
	return words
}

func (s service) environment() (env map[string]string) {
	env = map[string]string{}
	for k, v := range section(s, "environment") {
		env[k] = fmt.Sprint(v)
	}
	return env
}

// runs reports whether the service is a node: the image's own command.
func (s service) runs() bool { return s["command"] == nil && s["entrypoint"] == nil }

// imageEnvironment is what the Dockerfile sets.
func imageEnvironment(t *testing.T) (env []string) {
	t.Helper()
	for _, words := range dockerfile(t) {
		if words[0] == "ENV" {
			env = append(env, words[1:]...)
		}
	}
	return env
}

// settings loads what a node of the service is told.
func (s service) settings(t *testing.T) config.Config {
	t.Helper()
	env := imageEnvironment(t)
	for k, v := range s.environment() {
		env = append(env, k+"="+v)
	}
	cfg, err := config.Load(config.Sources{Environ: env})
	if err != nil {
		t.Error(err)
	}
	return cfg
}

// nodes are the services that are nodes, with their settings.
func nodes(t *testing.T) map[string]config.Config {
	t.Helper()
	all := map[string]config.Config{}
	for name, s := range composeServices(t) {
		if s.runs() {
			all[name] = s.settings(t)
		}
	}
	return all
}

func TestComposeHasTheClusterThatItPromises(t *testing.T) {
	t.Parallel()
	count := map[string]int{}
	for name, cfg := range nodes(t) {
		role := strings.Join(cfg.Node.Roles, ",")
		count[role]++
		if !strings.HasPrefix(name, role) || composeServices(t)[name].text("hostname") != name {
			t.Errorf("%s plays %s, and its host name, so its node's, is %q", name, role, composeServices(t)[name].text("hostname"))
		}
		if cfg.NATS.Copies() != 3 {
			t.Errorf("%s makes buckets with %d replicas, want 3", name, cfg.NATS.Copies())
		}
		if role == "broker" && cfg.NATS.Brokers() != 3 {
			t.Errorf("%s knows of %d brokers, want 3", name, cfg.NATS.Brokers())
		}
	}
	if want := map[string]int{"broker": 3, "edge": 2, "actor": 2, "media": 2, "control": 1}; !maps.Equal(count, want) {
		t.Errorf("roles: %v, want %v", count, want)
	}
}

func TestComposeRunsCommandsThatThereAre(t *testing.T) {
	t.Parallel()
	var seen []string
	for name, s := range composeServices(t) {
		if s.runs() {
			continue
		}
		args := append(s.list("entrypoint"), s.list("command")...)
		if len(args) > 0 && args[0] == "/patchbay" {
			args = args[1:]
		}
		cmd, rest, err := root().Find(args)
		if err == nil {
			err = cmd.ParseFlags(rest)
		}
		if err == nil {
			err = cmd.ValidateArgs(cmd.Flags().Args())
		}
		if err != nil || !cmd.Runnable() {
			t.Errorf("%s: patchbay %s: %v", name, strings.Join(args, " "), err)
		}
		seen = append(seen, cmd.CommandPath())
	}
	slices.Sort(seen)
	if want := []string{"patchbay demo provision", "patchbay echo-agent", "patchbay keys install"}; !slices.Equal(seen, want) {
		t.Errorf("commands: %q, want %q", seen, want)
	}
}

func TestComposePublishesWhatNodesListenAtAndNoMore(t *testing.T) {
	t.Parallel()
	all, taken := nodes(t), map[string]string{}
	for name, s := range composeServices(t) {
		var want []string
		switch cfg := all[name]; {
		case strings.HasPrefix(name, "edge-"):
			_, port, _ := strings.Cut(cfg.SIP.UDP, ":")
			want = []string{port + "/udp", port + "/tcp"}
			if cfg.SIP.TCP != cfg.SIP.UDP {
				t.Errorf("%s listens at %s and %s", name, cfg.SIP.UDP, cfg.SIP.TCP)
			}
		case strings.HasPrefix(name, "media-"):
			want = []string{cfg.Media.RTPPorts + "/udp"}
			ports, err := config.ParsePorts(cfg.Media.RTPPorts)
			if err != nil || int(ports.Last)-int(ports.First)+1 != 200 || cfg.Media.MaxCalls != 100 {
				t.Errorf("%s has the ports %s for %d calls, want 200 for 100", name, cfg.Media.RTPPorts, cfg.Media.MaxCalls)
			}
		case name == "control":
			_, port, _ := strings.Cut(cfg.HTTP.Listen, ":")
			_, secure, _ := strings.Cut(cfg.HTTP.TLS, ":")
			want = []string{port, secure}
		case name == "broker-1": // tenants' programs
			_, port, _ := strings.Cut(cfg.NATS.Listen, ":")
			want = []string{port}
			if !cfg.NATS.Tenants || !all["control"].NATS.Tenants {
				t.Error("API keys do not open NATS")
			}
		}
		var got []string
		for _, p := range s.list("ports") {
			address, rest, _ := strings.Cut(p, ":")
			host, container, _ := strings.Cut(rest, ":")
			got = append(got, container)
			if (name == "control" || name == "broker-1") && address != "127.0.0.1" {
				t.Errorf("%s is published at %s, want loopback", name, address)
			}
			_, protocol, _ := strings.Cut(container, "/")
			if other := taken[host+"/"+protocol]; other != "" {
				t.Errorf("%s and %s are both published at %s", name, other, host)
			}
			taken[host+"/"+protocol] = name
			if strings.HasPrefix(name, "media-") && host+"/udp" != container {
				t.Errorf("%s: a carrier is told %s and finds it at %s", name, container, host)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s publishes %q, want %q", name, got, want)
		}
	}
}

func TestContainersHaveNoMoreRightsThanTheyNeed(t *testing.T) {
	t.Parallel()
	for name, s := range composeServices(t) {
		user, caps := "65532:65532", "[]"
		if name == "keys" { // reads a secret of somebody else, gives keys away, and reaches nobody
			user, caps = "0:0", "[CHOWN DAC_OVERRIDE]"
			if s.text("network_mode") != "none" || s.text("restart") != "no" {
				t.Errorf("%s has a network or is started again", name)
			}
		}
		got := fmt.Sprintln(s["read_only"], s["user"], s.list("cap_drop"), s.list("cap_add"), s.list("security_opt"))
		if want := fmt.Sprintln(true, user, "[ALL]", caps, "[no-new-privileges]"); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		for _, key := range []string{"mem_limit", "pids_limit", "ulimits", "logging"} {
			if s[key] == nil {
				t.Errorf("%s has no %s", name, key)
			}
		}
		if s["privileged"] != nil || s["devices"] != nil || s["pid"] != nil || s["network_mode"] != nil && name != "keys" {
			t.Errorf("%s has a hand outside its container", name)
		}
	}
}

func TestAContainerIsGivenTheTimeThatItsNodeTakesToStop(t *testing.T) {
	t.Parallel()
	services := composeServices(t)
	for name, cfg := range nodes(t) {
		grace, err := time.ParseDuration(services[name].text("stop_grace_period"))
		takes := stopTimeout
		if !cfg.Node.Has("broker") {
			takes += cfg.Node.DrainPeriod + edgeQuiet + byeTime
		}
		if err != nil || grace < takes {
			t.Errorf("%s is killed after %v (%v), and may take %v", name, grace, err, takes)
		}
	}
}

func TestWhatANodeKeepsIsOnAVolumeOfItsOwnAndKeysAreOnlyRead(t *testing.T) {
	t.Parallel()
	all, mounted := nodes(t), map[string]string{}
	known := section(composeFile(t), "volumes")
	for name, s := range composeServices(t) {
		data := false
		for _, v := range s.list("volumes") {
			volume, rest, _ := strings.Cut(v, ":")
			at, mode, _ := strings.Cut(rest, ":")
			if _, ok := known[volume]; !ok {
				t.Errorf("%s mounts %s, which is no volume", name, volume)
			}
			if cfg, ok := all[name]; ok && at == cfg.Node.DataDir {
				data = true
				if other := mounted[volume]; other != "" {
					t.Errorf("%s and %s share %s", name, other, volume)
				}
				mounted[volume] = name
			} else if name != "keys" && mode != "ro" {
				t.Errorf("%s may write to %s", name, volume)
			}
		}
		if cfg, ok := all[name]; ok && !data {
			t.Errorf("%s keeps nothing of %s", name, cfg.Node.DataDir)
		}
	}
}

func TestEveryVariableOfComposeIsInTheDocument(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join(tree, "docs", "deploy.md"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(tree, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`\$\{([A-Z0-9_]+):-([^}]*)\}`).FindAllStringSubmatch(string(text), -1) {
		name, value := found[1], "`"+found[2]+"`"
		if found[2] == "" {
			value = "empty"
		}
		if row := "| `" + name + "` | " + value + " |"; !strings.Contains(string(doc), row) {
			t.Errorf("docs/deploy.md has no row %s", row)
		}
	}
}

func TestASecretOfComposeIsAFileOfTheTreeThatHoldsNone(t *testing.T) {
	t.Parallel()
	for name, s := range section(composeFile(t), "secrets") {
		path := filepath.Join(tree, fmt.Sprint(section(map[string]any{name: s}, name)["file"]))
		text, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(text), "# ") || strings.Count(string(text), "\n") != 1 {
			t.Errorf("secret %s, %s: %q, %v", name, path, text, err)
		}
	}
}
