package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

func TestAMistakeInTheCommandLineIsSaidAndEndsWithTwo(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"serv":                                  "is serve meant?",
		"ctl cal":                               "is call meant?",
		"completion moon":                       `unknown command "moon" for "patchbay completion"`,
		"completion bash moon":                  "completion bash",
		"ctl call moon":                         `unknown command "moon" for "patchbay ctl call"`,
		"ctl block":                             "ctl block <address|range>",
		"ctl agent get":                         "ctl agent get <id>",
		"ctl agent list --moon":                 "--moon",
		"ctl agent create --http x --dial-in":   "[http nats-workers dial-in]",
		"ctl trunk create":                      "[spec file]",
		"explain sip:a@b":                       `"from"`,
		"keys derive edge":                      `"out"`,
		"config check --media-max-calls many":   "media.max_calls",
		"call":                                  "call <sip uri>",
		"call demo":                             "want a sip: URI",
		"call sip:a@b;transport=sctp":           "transport=sctp",
		"call sip:a@127.0.0.1 --codec opus":     "--codec opus",
		"call sip:a@127.0.0.1 --digits 1x":      "--digits",
		"call sip:a@127.0.0.1 --header Subject": "--header",
		"call sip:a@127.0.0.1 --talk 0s":        "--talk",
	} {
		cmd := root()
		cmd.SetArgs(strings.Fields(line))
		cmd.SetOut(io.Discard)
		err := cmd.ExecuteContext(t.Context())
		if err == nil || exitCode(err) != exitUsage || !strings.Contains(err.Error(), want) {
			t.Errorf("patchbay %s: %v; want exit code %d and %q", line, err, exitUsage, want)
		}
	}
}

func TestAFlagOfASettingShowsItsDefault(t *testing.T) {
	t.Parallel()
	f := serveCommand().Flags()
	for name, want := range map[string]string{"sip-udp": "0.0.0.0:5060", "media-srtp-tap": "true", "nats-url": ""} {
		if got := f.Lookup(name).DefValue; got != want {
			t.Errorf("--%s: default %q, want %q", name, got, want)
		}
	}
}

func TestASpecIsAnObject(t *testing.T) {
	t.Parallel()
	for _, spec := range []string{"null", "7", "[]", "{"} {
		for _, args := range [][]string{
			{"ctl", "endpoint", "create", "--name", "x"}, {"ctl", "agent", "create", "--name", "x"}, {"ctl", "account", "project", "create", "x"},
		} {
			if _, err := command(t, append(args, "--spec", spec)...); !errors.Is(err, errUsage) {
				t.Errorf("%v --spec %s: %v", args, spec, err)
			}
		}
	}
}

// Whoever looks why a carrier is turned away must see which lines count.
func TestSourcesAreToldAsTheyCount(t *testing.T) {
	t.Parallel()
	for want, ip := range map[string]control.IPSpec{
		"any":                                    {Mode: endpoint.IPAny, Entries: []control.IPEntrySpec{{Raw: "203.0.113.7"}}},
		"none":                                   {Mode: endpoint.IPNone},
		"list, empty":                            {Mode: endpoint.IPList},
		"203.0.113.7 (disabled),198.51.100.0/24": {Mode: endpoint.IPList, Entries: []control.IPEntrySpec{{Raw: "203.0.113.7", Disabled: true}, {Raw: "198.51.100.0/24"}}},
	} {
		if got := sourcesWord(ip); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
