package e2e_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"patchbay/control"
	"patchbay/e2e/rig"
)

func TestASecondStartWorksOnTheDataOfTheFirst(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	ep := b.endpoint(t, nil)
	b.call(t, "udp", ep.Slug).bye(t)
	keys := secrets(t, b.Dir)
	b.Signal(syscall.SIGTERM)
	if code, ended := b.Ended(endLimit); !ended || code != 0 {
		t.Fatalf("the first run ended: %v, exit code %d, want 0", ended, code)
	}
	b.Run()
	if again := secrets(t, b.Dir); again != keys {
		t.Error("the second start made new keys")
	}
	op := b.Operator(t)
	var view control.EndpointView
	op.Do(t, "endpoint", "get", control.ID{ID: ep.ID}, &view)
	if view.Slug != ep.Slug || view.Revision != ep.Revision {
		t.Errorf("the endpoint came back with slug equal: %v, revision %v, want %v", view.Slug == ep.Slug, view.Revision, ep.Revision)
	}
	b.echo.Wait(t)
	b.call(t, "tcp", ep.Slug).bye(t)
	b.Idle(t, settle)
}

// secrets are the files that the first start makes, which nobody else may read.
func secrets(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range []string{"cluster.key", "admin.key"} {
		path := filepath.Join(dir, name)
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if mode := st.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o, want 600", name, mode)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

func TestATakenPortIsAnErrorThatNamesItsSetting(t *testing.T) {
	t.Parallel()
	rig.Together(t, 2, []string{"sip.udp", "sip.tcp", "http.listen", "nats.listen"}, func(t *testing.T, key string) {
		node := rig.Prepare(t, 1, nil)
		address := map[string]string{"sip.udp": node.SIP.String(), "sip.tcp": node.SIP.String(),
			"http.listen": node.HTTP, "nats.listen": node.NATS}[key]
		network := "tcp"
		if key == "sip.udp" {
			network = "udp"
		}
		occupy(t, network, address)
		output, code := node.RunExpectingExit()
		if code != 1 || !strings.Contains(output, key) || !strings.Contains(output, address) {
			t.Errorf("exit code %d, want 1; the output should name %s and %s:\n%s", code, key, address, output)
		}
	})
}

func occupy(t *testing.T, network, address string) {
	t.Helper()
	if network == "udp" {
		conn, err := net.ListenPacket(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
}

func TestADataDirectoryServesOneNodeAtATime(t *testing.T) {
	t.Parallel()
	first := rig.Start(t, nil)
	second := rig.Prepare(t, 1, rig.Settings{"node.data_dir": first.Dir})
	output, code := second.RunExpectingExit()
	if code != 1 || !strings.Contains(output, "node.data_dir") {
		t.Errorf("exit code %d, want 1; the output should name node.data_dir:\n%s", code, output)
	}
}

func TestConfigCheckReportsEveryMistakeAtOnce(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "patchbay.yaml")
	text := "sip:\n  udp: nonsense\n  udpp: 127.0.0.1:5060\nmedia:\n  rtp_ports: 9-1\nlog:\n  level: loud\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"config", "check"}, {"serve"}} {
		output, code := rig.Patchbay(t, append(command, "--config", file, "--nats-replicas", "2")...)
		if code != 2 {
			t.Errorf("%v: exit code %d, want 2", command, code)
		}
		for _, key := range []string{"sip.udp", "sip.udpp", "media.rtp_ports", "log.level", "nats.replicas"} {
			if !strings.Contains(output, key+" (") {
				t.Errorf("%v does not tell the mistake in %s:\n%s", command, key, output)
			}
		}
	}
}

func TestTheDefaultConfigurationIsGood(t *testing.T) {
	t.Parallel()
	text, code := rig.Patchbay(t, "config", "default")
	if code != 0 {
		t.Fatalf("config default: exit code %d:\n%s", code, text)
	}
	file := filepath.Join(t.TempDir(), "default.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, code := rig.Patchbay(t, "config", "check", "--config", file); code != 0 {
		t.Errorf("config check of config default: exit code %d:\n%s", code, output)
	}
}

func TestAMistypedCommandLineEndsWithTwo(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"serve --no-such-flag",
		"serve --sip-t1 soon",
		"serve --roles juggler",
		"serve extra",
		"config check --config /no/such/file.yaml",
		"call",
		"juggle",
		"ctl juggle",
		"ctl endpoint juggle",
	} {
		if output, code := rig.Patchbay(t, strings.Fields(line)...); code != 2 {
			t.Errorf("patchbay %s: exit code %d, want 2:\n%s", line, code, output)
		}
	}
}
