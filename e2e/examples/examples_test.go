package examples_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"patchbay/e2e/rig"
	"patchbay/internal/caller"
	"patchbay/internal/testkit"
	"patchbay/internal/tone"
)

func TestMain(m *testing.M) { rig.Main(m) }

const (
	root   = "../.."
	settle = time.Minute // Go builds an example, Python loads aiortc
	talk   = 2 * time.Second
)

// block is the first shell block of a README.
var block = regexp.MustCompile("(?s)```sh\n(.*?)```")

// uri is what `ctl endpoint create` prints.
var uri = regexp.MustCompile(`sip:\S+`)

// A program is the last command of a README, running.
type program struct {
	cmd *exec.Cmd
	mu  sync.Mutex
	out bytes.Buffer
}

// Write keeps what the program writes.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *program) wrote() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// says waits until the program has written a text.
func (p *program) says(t *testing.T, text string) {
	t.Helper()
	rig.WaitFor(t, settle, "the example to say "+text, func() bool { return strings.Contains(p.wrote(), text) })
}

// start runs a command line from the root until the test ends.
func start(t *testing.T, line string) *program {
	t.Helper()
	p := &program{cmd: exec.Command("bash", "-c", line)}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = root, p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // go run starts another
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
		_ = p.cmd.Wait() // killed by a signal, says its status
		if t.Failed() {
			t.Logf("the example wrote:\n%s", p.wrote())
		}
	})
	return p
}

// follow does what a README says: its commands of patchbay at the node, then
// its program. It returns the SIP URI that was printed on the way.
func follow(t *testing.T, node *rig.Node, readme string, replace ...string) (*program, string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, readme))
	if err != nil {
		t.Fatal(err)
	}
	found := block.FindSubmatch(text)
	if found == nil {
		t.Fatalf("%s has no shell block", readme)
	}
	t.Setenv("PBCTL_NATS", "nats://"+node.NATS)
	t.Setenv("NATS_URL", "nats://"+node.NATS)
	commands := strings.NewReplacer(replace...).Replace(strings.TrimSpace(string(found[1])))
	var dial string
	for line := range strings.Lines(commands) {
		words := strings.Fields(line)
		if words[0] != "bin/patchbay" {
			return start(t, line), dial
		}
		out, code := rig.Patchbay(t, words[1:]...)
		if code != 0 {
			t.Fatalf("%s: exit code %d\n%s", line, code, out)
		}
		if u := uri.FindString(out); u != "" {
			dial = u
		}
	}
	t.Fatalf("%s starts no program", readme)
	return nil, ""
}

// call places a call that must be answered.
func call(t *testing.T, o caller.Options) caller.Report {
	t.Helper()
	o.Talk, o.KeepHeard, o.Ring = max(o.Talk, talk), true, settle
	rep, err := caller.Call(t.Context(), o)
	if err != nil || rep.Status != 200 {
		t.Fatalf("got %d %s, %v", rep.Status, rep.Phrase, err)
	}
	return rep
}

// hears fails the test unless so much of what came back is one tone.
func hears(t *testing.T, rep caller.Report, freq, atLeast float64) {
	t.Helper()
	pcm := rep.Heard[min(len(rep.Heard), rep.HeardRate/2):]
	if len(pcm) < rep.HeardRate {
		t.Fatalf("the caller heard %d samples, want a second at least", len(rep.Heard))
	}
	if share := tone.Share(pcm, freq, rep.HeardRate); share < atLeast {
		t.Errorf("the caller heard %.2f at %v Hz, want a tone", share, freq)
	}
}

func TestTheWorkerInGo(t *testing.T) {
	node := rig.Start(t, nil)
	worker, dial := follow(t, node, "examples/nats-go/README.md")
	worker.says(t, "waits for calls")
	for _, codec := range []string{"PCMU", "PCMA", "G722"} {
		if rep := call(t, caller.Options{URI: dial, Codecs: []string{codec}}); !rep.OK() || rep.Codec != codec {
			t.Errorf("%s: codec %s, %d bursts of the tone came back", codec, rep.Codec, rep.Bursts)
		}
	}
	if rep := call(t, caller.Options{URI: dial, Digits: "#", Talk: settle}); !rep.EndedByPeer {
		t.Error("it did not hang up on #")
	}
	worker.says(t, `"type":"call.ended"`)
}

// python is an interpreter that has aiortc: the README's word for it, or
// Debian's own where another stands in front.
func python(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import aiortc").Run() == nil {
			return name
		}
	}
	if testkit.Required() {
		t.Fatal("python3-aiortc is not installed, and E2E or CI is set: `make tools` says how to get it")
	}
	t.Skip("SKIPPED, NOT TESTED: python3-aiortc is not installed (E2E=1 makes this a failure)")
	return ""
}

func TestTheHTTPAgentInPython(t *testing.T) {
	interpreter := python(t)
	for _, mode := range []string{"", " --tone 440"} {
		t.Run("agent.py"+mode, func(t *testing.T) {
			node := rig.Start(t, nil)
			port := strconv.Itoa(node.Port(t, 1))
			agent, dial := follow(t, node, "examples/http-python/README.md",
				"python3 ", interpreter+" ", "127.0.0.1:7860", "127.0.0.1:"+port, "--port 7860", "--port "+port+mode)
			agent.says(t, "listening")
			rep := call(t, caller.Options{URI: dial})
			if mode != "" {
				hears(t, rep, 440, 0.9)
			} else if !rep.OK() {
				t.Error("the tone did not come back")
			}
			if rep := call(t, caller.Options{URI: dial, Digits: "#", Talk: settle}); !rep.EndedByPeer {
				t.Error("it did not hang up on #")
			}
			agent.says(t, `"type":"call.ended"`)
		})
	}
}

func TestThePageInABrowser(t *testing.T) {
	chromium := testkit.Tool(t, "chromium")
	testkit.Tool(t, "python3")
	claimed := rig.Prepare(t, 1, nil)
	port := strconv.Itoa(claimed.Port(t, 1))
	origin := "http://127.0.0.1:" + port
	node := rig.Start(t, rig.Settings{"http.cors_origins": origin})
	pages, dial := follow(t, node, "examples/browser/README.md", "python3 -m http.server 8000", "python3 -u -m http.server "+port)
	pages.says(t, "Serving HTTP")
	key, err := os.ReadFile(filepath.Join(node.Dir, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "examples/browser/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`<(http://127.0.0.1:8000/[^>]*)>`).FindSubmatch(text)
	if link == nil {
		t.Fatal("the README has no link to the page")
	}
	browser := browse(t, chromium, strings.Replace(string(link[1]), "http://127.0.0.1:8000", origin, 1)+
		"&start&base=http://"+node.HTTP+"&key="+strings.TrimSpace(string(key)))
	pages.says(t, "GET /dialin.js") // the browser is there: a caller rings for 20 s
	rep := call(t, caller.Options{URI: dial, Digits: "5", Talk: 4 * time.Second})
	hears(t, rep, microphone, 0.3) // the browser takes a tone that lasts for noise, and turns it down
	browser.says(t, "call.started")
	browser.says(t, "dtmf")
	browser.says(t, "call.ended")
}

// microphone is what the browser's fake microphone says, Hz.
const microphone = 600

// browse opens a page in Chromium until the test ends.
func browse(t *testing.T, chromium, page string) *program {
	t.Helper()
	dir, err := os.MkdirTemp("", "patchbay-examples-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 50 { // until the last of its processes writes no more
			if os.RemoveAll(dir) == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	mic := filepath.Join(dir, "mic.wav")
	if err := caller.WriteWAV(mic, 48000, tone.Generate(microphone, 48000, 10*48000)); err != nil {
		t.Fatal(err)
	}
	return start(t, strings.Join([]string{"HOME='" + dir + "' exec", chromium, "--headless --no-sandbox --disable-gpu --disable-quic",
		"--no-first-run --disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage",
		"--autoplay-policy=no-user-gesture-required --use-fake-device-for-media-stream --use-fake-ui-for-media-stream",
		"--use-file-for-fake-audio-capture='" + mic + "' --enable-logging=stderr --user-data-dir='" + dir + "/profile'", "'" + page + "'"}, " "))
}
