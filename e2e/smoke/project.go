package smoke

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay/internal/testkit"
)

// Root is the repository.
const Root = "../.."

// tag is the image under test.
const tag = "patchbay:smoke"

// A Project is compose.yaml on an engine, under a name of its own.
type Project struct {
	t       testing.TB
	engine  *Engine
	compose []string // the program, with its first arguments
	env     []string
}

// NewProject returns the project. What it made is removed with the test.
func NewProject(t testing.TB, e *Engine) *Project {
	t.Helper()
	p := &Project{t: t, engine: e, env: e.environment("PATCHBAY_IMAGE="+tag, "COMPOSE_PROJECT_NAME=patchbay-smoke",
		"PYTHONWARNINGS=ignore")}
	p.compose = append(p.program(), "-f", filepath.Join(Root, "compose.yaml"))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the containers said:\n%s", p.Try(time.Minute, append(p.compose, "logs", "--no-color", "--tail", "15")...))
		}
		p.Try(3*time.Minute, append(p.compose, "down", "-v", "--timeout", "5")...)
		p.Try(time.Minute, "docker", "image", "rm", "--force", tag)
	})
	return p
}

// With returns the project with a variable set.
func (p *Project) With(variable string) *Project {
	q := *p
	q.env = append(slices.Clone(p.env), variable)
	return &q
}

// program is compose: the one that COMPOSE names, docker-compose, or the plugin
// of docker.
func (p *Project) program() []string {
	p.t.Helper()
	if given := strings.Fields(os.Getenv("COMPOSE")); len(given) > 0 {
		return given
	}
	if _, err := exec.LookPath("docker-compose"); err != nil {
		if _, err := p.command(askEngine, "docker", "compose", "version"); err == nil {
			return []string{"docker", "compose"}
		}
	}
	return []string{testkit.Tool(p.t, "docker-compose")}
}

// Compose runs compose and returns what it wrote.
func (p *Project) Compose(limit time.Duration, args ...string) string {
	p.t.Helper()
	return p.Run(limit, append(append([]string{}, p.compose...), args...)...)
}

// Docker runs a command of the engine and returns what it wrote.
func (p *Project) Docker(args ...string) string {
	p.t.Helper()
	return p.Run(time.Minute, append([]string{"docker"}, args...)...)
}

// Run runs a command that must succeed, and returns what it wrote.
func (p *Project) Run(limit time.Duration, args ...string) string {
	p.t.Helper()
	out, err := p.command(limit, args...)
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// Try runs a command that may fail, and returns what it wrote.
func (p *Project) Try(limit time.Duration, args ...string) string {
	out, err := p.command(limit, args...)
	if err != nil {
		return fmt.Sprintf("%s\n%s: %v", out, strings.Join(args, " "), err)
	}
	return out
}

func (p *Project) command(limit time.Duration, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = p.env
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("not within %v", limit)
	}
	return string(out), err
}

// Containers are the ids of every container of the project by service, those
// that ended included.
func (p *Project) Containers() map[string]string {
	p.t.Helper()
	all := map[string]string{}
	out := p.Docker("ps", "--all", "--filter", "label=com.docker.compose.project=patchbay-smoke",
		"--format", `{{.ID}} {{.Label "com.docker.compose.service"}} {{.Label "com.docker.compose.oneoff"}}`)
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) == 3 && !strings.EqualFold(f[2], "true") {
			all[f[1]] = f[0]
		}
	}
	return all
}

// Look is what the engine says of a container, in the form of its templates.
func (p *Project) Look(container, template string) string {
	p.t.Helper()
	return strings.TrimSpace(p.Docker("inspect", "--format", template, container))
}

// towardsTheWorld is the address of this machine in its network. Nothing is
// sent to find it.
func towardsTheWorld(t testing.TB) netip.Addr {
	t.Helper()
	conn, err := net.Dial("udp4", "192.0.2.1:9")
	if err != nil {
		t.Fatalf("this machine has no network: %v", err)
	}
	defer func() { _ = conn.Close() }()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
}
