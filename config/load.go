package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
)

// MaxFile is the largest configuration file read, bytes.
const MaxFile = 1 << 20

// Sources are what settings come from, weakest first; below them all are the
// defaults. Whoever calls reads file and environment.
type Sources struct {
	FileName string            // for messages
	File     []byte            // YAML; nil: no file
	Environ  []string          // NAME=value, as os.Environ returns it
	Flags    map[string]string // by key: "sip.udp": "127.0.0.1:0"
}

// Load returns the configuration that the sources make together. In the
// environment and in flags a list is comma separated; a duration is written
// 150ms or 1h everywhere. An unknown key of the file, an unknown PATCHBAY_
// variable and an unknown flag are mistakes.
//
// The error is of type [Mistakes] and holds everything that is wrong, so that
// an operator mends it in one go.
func Load(s Sources) (Config, error) {
	l := loader{given: map[string]given{}}
	for _, set := range Settings() {
		l.known = append(l.known, set.Key)
		l.given[set.Key] = given{set.Default, "default"}
	}
	l.file(s.FileName, s.File)
	l.environ(s.Environ)
	l.flags(s.Flags)
	var cfg Config
	c := checker{cfg: &cfg, given: l.given, wrong: map[string]bool{}, mistakes: l.mistakes}
	for _, set := range Settings() {
		g := l.given[set.Key]
		if err := set.assign(&cfg, g.value); err != nil {
			c.mistake(set.Key, "%v", err)
			_ = set.assign(&cfg, set.Default) // so that it causes no second mistake
		}
	}
	c.check()
	if len(c.mistakes) > 0 {
		return Config{}, c.mistakes
	}
	if cfg.NATS.URL != "" {
		cfg.Node.Roles = slices.DeleteFunc(cfg.Node.Roles, func(role string) bool { return role == "broker" })
	}
	return cfg, nil
}

// A given is the value of one setting and what set it.
type given struct {
	value any
	where string
}

// A loader lays one source over another.
type loader struct {
	known    []string
	given    map[string]given
	mistakes Mistakes
}

func (l *loader) file(name string, text []byte) {
	if text == nil {
		return
	}
	if len(text) > MaxFile {
		l.mistakes = append(l.mistakes, Mistake{Where: name, Why: fmt.Sprintf("larger than %d bytes", MaxFile)})
		return
	}
	tree, err := yaml.Parser().Unmarshal(text)
	if err != nil {
		l.mistakes = append(l.mistakes, Mistake{Where: name, Why: err.Error()})
		return
	}
	k := koanf.New(".")
	if err := k.Load(confmap.Provider(tree, "."), nil); err != nil {
		l.mistakes = append(l.mistakes, Mistake{Where: name, Why: err.Error()})
		return
	}
	for _, key := range k.Keys() { // in alphabetical order
		value := k.Get(key)
		if empty, ok := value.(map[string]any); (value == nil || ok && len(empty) == 0) && l.isSection(key) {
			continue // a section with all its lines commented out
		}
		l.set(key, value, name)
	}
}

func (l *loader) isSection(key string) bool {
	return slices.ContainsFunc(l.known, func(k string) bool { return strings.HasPrefix(k, key+".") })
}

func (l *loader) environ(environ []string) {
	keys := map[string]string{}
	for _, s := range Settings() {
		keys[s.Env] = s.Key
	}
	for _, line := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(line, "=")
		if !strings.HasPrefix(name, envPrefix) || name == EnvFile {
			continue
		}
		if key, ok := keys[name]; ok {
			l.given[key] = given{value, name}
		} else if !serviceLink(name, value) {
			why := "unknown variable"
			if near := nearest(name, envNames()); near != "" {
				why += "; is " + near + " meant?"
			}
			l.mistakes = append(l.mistakes, Mistake{Where: name, Why: why})
		}
	}
}

func envNames() []string {
	var names []string
	for _, s := range Settings() {
		names = append(names, s.Env)
	}
	return names
}

var (
	linkName  = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	linkValue = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

// serviceLink reports whether a variable is one that Kubernetes puts into each
// container for a Service whose name starts with "patchbay".
func serviceLink(name, value string) bool {
	return linkName.MatchString(name) || strings.HasSuffix(name, "_PORT") && linkValue.MatchString(value)
}

func (l *loader) flags(flags map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(flags)) {
		l.set(key, flags[key], "flag")
	}
}

func (l *loader) set(key string, value any, where string) {
	if _, ok := l.given[key]; ok {
		l.given[key] = given{value, where}
		return
	}
	why := "unknown key"
	if l.isSection(key) {
		why = "a section, not a setting"
	} else if near := nearest(key, l.known); near != "" {
		why += "; is " + near + " meant?"
	}
	l.mistakes = append(l.mistakes, Mistake{Key: key, Where: where, Why: why})
}
