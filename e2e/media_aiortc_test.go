package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/control"
	"patchbay/e2e/rig"
	"patchbay/internal/caller"
	"patchbay/internal/testkit"
)

// python is Debian's: aiortc is a package of it.
const python = "/usr/bin/python3"

// An aiortc is an agent of another project: testdata/aiortc/agent.py in a
// process of its own.
type aiortc struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	client *http.Client

	mu    sync.Mutex
	wrote strings.Builder
}

// aiortcTone is what it says, Hz.
const aiortcTone = 500

// startAiortc runs the agent until the test ends.
func startAiortc(t *testing.T) *aiortc {
	t.Helper()
	testkit.Tool(t, python)
	if out, err := exec.Command(python, "-c", "import aiortc").CombinedOutput(); err != nil {
		if testkit.Required() {
			t.Fatalf("python3-aiortc is not installed, and E2E or CI is set: `make tools` says how to get it\n%s", out)
		}
		t.Skip("SKIPPED, NOT TESTED: python3-aiortc is not installed (E2E=1 makes this a failure)")
	}
	a := &aiortc{t: t, cmd: exec.Command(python, "testdata/aiortc/agent.py", fmt.Sprint(aiortcTone)), client: &http.Client{Timeout: settle}}
	a.cmd.Stderr = a
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = a.cmd.Process.Kill()
		_ = a.cmd.Wait()
		if a.mu.Lock(); a.wrote.Len() > 0 && t.Failed() {
			t.Logf("the aiortc agent wrote:\n%s", a.wrote.String())
		}
		a.mu.Unlock()
	})
	port := make(chan string, 1)
	go func() { line, _ := bufio.NewReader(out).ReadString('\n'); port <- strings.TrimSpace(line) }()
	select {
	case p := <-port:
		a.url = "http://127.0.0.1:" + p
	case <-time.After(2 * settle): // it loads a lot
	}
	if len(a.url) < len("http://127.0.0.1:1") {
		t.Fatal("the aiortc agent did not start")
	}
	return a
}

// Write keeps what the agent writes to standard error.
func (a *aiortc) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.wrote.Write(b)
}

// agent makes the agent and an endpoint that it answers.
func (a *aiortc) endpoint(s *stage) control.EndpointView {
	a.t.Helper()
	view := s.op.Agent(a.t, "http", rig.Fields{"webrtc": rig.Fields{"connector": "http", "dialect": "json", "url": a.url + "/offer",
		"timeout_ms": 15000}}) // an interpreter on a busy machine takes its time
	return s.op.Endpoint(a.t, view.ID, nil)
}

func (a *aiortc) get(path string) []byte {
	a.t.Helper()
	res, err := a.client.Get(a.url + path)
	if err != nil {
		a.t.Fatalf("ask the aiortc agent: %v", err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		a.t.Fatalf("ask the aiortc agent for %s: %s %v", path, res.Status, err)
	}
	return body
}

func (a *aiortc) post(path, body string) {
	res, err := a.client.Post(a.url+path, "application/json", strings.NewReader(body))
	if err != nil {
		a.t.Errorf("tell the aiortc agent: %v", err)
		return
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		a.t.Errorf("tell the aiortc agent %s: %s", path, res.Status)
	}
}

// heard is what came to the agent, at 8000 Hz.
func (a *aiortc) heard() []int16 {
	body := a.get("/heard")
	pcm := make([]int16, len(body)/2)
	if err := binary.Read(bytes.NewReader(body), binary.LittleEndian, pcm); err != nil {
		a.t.Fatal(err)
	}
	return pcm
}

// said is what came over the agent's data channel.
func (a *aiortc) said() []note {
	var raw []json.RawMessage
	if err := json.Unmarshal(a.get("/said"), &raw); err != nil {
		a.t.Fatal(err)
	}
	var notes []note
	for _, r := range raw {
		notes = append(notes, readNote(a.t, r))
	}
	return notes
}

func TestAnAiortcAgentAndItsCarrierHearEachOther(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	rig.Together(t, 2, []string{"PCMU", "PCMA"}, func(t *testing.T, codec string) {
		a := startAiortc(t)
		ep := a.endpoint(s)
		rep := s.dial(t, ep.Slug, caller.Options{Codecs: []string{codec}, Talk: 4 * time.Second, KeepHeard: true,
			Payload: steady(codec, 700), Digits: "42"})
		answered(t, rep, codec)
		hears(t, "the carrier", rep.Heard, aiortcTone, rep.HeardRate, 3*time.Second)
		// The keys' own time is silence to an agent without telephone-event.
		heard := a.heard()
		hears(t, "the agent", heard[:min(len(heard), 7200)], 700, 8000, 800*time.Millisecond)
		var kinds, digits string
		rig.Until(t, settle, func() (string, bool) { // an interpreter on a busy machine reads them later
			kinds, digits = "", ""
			for _, n := range a.said() {
				kinds += n.Type + " "
				digits += n.Digit
			}
			return "over its data channel the agent heard " + kinds + "with digits " + digits, len(digits) >= 2
		})
		if !strings.HasPrefix(kinds, "call.started ") || digits != "42" {
			t.Errorf("over its data channel the agent heard %swith digits %q, want call.started first and 42", kinds, digits)
		}
		var about told
		if raw := a.get("/call"); json.Unmarshal(raw, &about) != nil || about.From.User != "patchbay-caller" || about.Trusted || bytes.Contains(raw, []byte(secret(ep))) {
			t.Errorf("the agent was told %s, want the caller, not trusted, and no slug", raw)
		}
		if rep.Lost != 0 || rep.ByeStatus != 200 {
			t.Errorf("the carrier missed %d packets, its BYE got %d, want none and 200", rep.Lost, rep.ByeStatus)
		}
	})
	s.Idle(t, settle)
}

func TestAnAiortcAgentHangsUp(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	for how, tell := range map[string][2]string{
		"by command": {"/command", `{"id":"1","type":"hangup"}`},
		"by leaving": {"/close", "{}"},
	} {
		t.Run(how, func(t *testing.T) {
			a := startAiortc(t)
			ep := a.endpoint(s)
			done := make(chan struct{})
			rep := s.dial(t, ep.Slug, caller.Options{Codecs: []string{"PCMU"}, Talk: talkLimit,
				OnPacket: atPacket(50, func() { defer close(done); a.post(tell[0], tell[1]) })})
			answered(t, rep, "PCMU")
			if want := `Q.850;cause=16;text="agent_hangup"`; !rep.EndedByPeer || rep.Reason != want {
				t.Errorf("BYE came: %t, with Reason %q, want %q", rep.EndedByPeer, rep.Reason, want)
			}
			<-done
		})
	}
	s.Idle(t, settle)
}
