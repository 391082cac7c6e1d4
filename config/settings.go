package config

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// envPrefix starts the name of every environment variable that is ours.
const envPrefix = "PATCHBAY_"

// EnvFile is the variable that names the configuration file. It is no setting:
// whoever reads the file reads it too.
const EnvFile = "PATCHBAY_CONFIG"

// A Setting is one thing an operator may set.
type Setting struct {
	Key     string // in the YAML file: sip.udp
	Env     string // PATCHBAY_SIP_UDP
	Type    string // text, list, number, duration or bool
	Default string // as the environment would write it
	Doc     string // what it does, with its unit

	section, field int  // indices into Config
	zero           bool // 0 is allowed
}

// Settings returns every setting, in the order of [Config].
func Settings() []Setting {
	var all []Setting
	for i, section := range sections() {
		for j := range section.Type.NumField() {
			f := section.Type.Field(j)
			key := section.Tag.Get("koanf") + "." + f.Tag.Get("koanf")
			all = append(all, Setting{
				Key:     key,
				Env:     envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_")),
				Type:    typeName(f.Type),
				Default: f.Tag.Get("default"),
				Doc:     f.Tag.Get("doc"),
				section: i,
				field:   j,
				zero:    f.Tag.Get("min") == "0",
			})
		}
	}
	return all
}

// sections returns the fields of Config.
func sections() []reflect.StructField { return reflect.VisibleFields(reflect.TypeFor[Config]()) }

func typeName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t == reflect.TypeFor[[]string]():
		return "list"
	case t.Kind() == reflect.Bool:
		return "bool"
	case t.Kind() == reflect.String:
		return "text"
	default:
		return "number"
	}
}

// of returns the setting's place in a Config.
func (s Setting) of(cfg *Config) reflect.Value {
	return reflect.ValueOf(cfg).Elem().Field(s.section).Field(s.field)
}

// Default returns a configuration file that sets every setting to its default,
// with what it does as a comment. [Load] reads it.
func Default() []byte {
	var b bytes.Buffer
	b.WriteString("# Every setting of Patchbay with its default. What is left out keeps it.\n" +
		"# Environment variables go over this file, flags over both.\n")
	section := -1
	for _, s := range Settings() {
		if s.section != section {
			section = s.section
			f := sections()[section]
			fmt.Fprintf(&b, "\n# %s\n%s:\n", f.Tag.Get("doc"), f.Tag.Get("koanf"))
		}
		_, name, _ := strings.Cut(s.Key, ".")
		fmt.Fprintf(&b, "  # %s (%s)\n  %s: %s\n", s.Doc, s.Env, name, s.yaml())
	}
	return b.Bytes()
}

// yaml writes the setting's default as YAML.
func (s Setting) yaml() string {
	switch s.Type {
	case "text":
		return fmt.Sprintf("%q", s.Default)
	case "list":
		return "[" + strings.ReplaceAll(s.Default, ",", ", ") + "]"
	default:
		return s.Default
	}
}
