package e2e_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"patchbay/control"
	"patchbay/e2e/rig"
	"patchbay/internal/caller"
)

func TestThePythonWorkerOnNATSTakesACallAndHangsUp(t *testing.T) {
	t.Parallel()
	python := rig.Python(t)
	node := rig.Start(t, nil)
	op := node.Operator(t)
	agent := op.Agent(t, "nats", rig.Fields{"webrtc": rig.Fields{"connector": "nats", "timeout_ms": 15000}}) // Python on a busy machine
	ep := op.Endpoint(t, agent.ID, nil)
	worker, _ := rig.RunExample(t, "takes calls", python, "../examples/nats-python/agent.py", "--agent", agent.ID, "--nats", node.NATS)
	rep, err := caller.Call(t.Context(), caller.Options{URI: node.URI(ep.Slug), Talk: 20 * time.Second, Codecs: []string{"PCMU"}, Digits: "#"})
	if err != nil || !rep.OK() || !rep.EndedByPeer {
		t.Fatalf("the call: %+v, %v; want its tone back, and the agent's BYE", rep, err)
	}
	worker.Says(t, `"digit":"#"`)
	var f control.Workforce
	op.Do(t, "agent", "workers", control.ID{ID: agent.ID}, &f)
	if len(f.Workers) != 1 || !strings.HasPrefix(f.Workers[0].ID, "py-") || f.Workers[0].State != "ready" {
		t.Errorf("its heartbeats: %+v", f.Workers)
	}
}

// The example against the strict fake beside it: OpenAI's own server is not to
// be had here.
func TestTheOpenAIExampleCarriesACallToItsFake(t *testing.T) {
	t.Parallel()
	python := rig.Python(t)
	node := rig.Start(t, nil)
	fake, line := rig.RunExample(t, "listening on", python, "../examples/openai/fake.py", "--port", "0", "--key", "k1")
	_, url, _ := strings.Cut(line, "listening on ")
	shown := node.Script(t, "../examples/openai/agent.sh", "OPENAI_API_KEY=k1", "OPENAI_URL="+url)
	slug := regexp.MustCompile(`openai-[0-9a-z]{24}`).FindString(shown)
	if slug == "" {
		t.Fatalf("the script printed no SIP URI:\n%s", shown)
	}
	rep, err := caller.Call(t.Context(), caller.Options{URI: node.URI(slug), Talk: 4 * time.Second, Codecs: []string{"PCMU"}, Digits: "5"})
	if err != nil || !rep.OK() {
		t.Fatalf("the call: %+v, %v", rep, err)
	}
	fake.Says(t, "data channel oai-events")
	fake.Says(t, "DTMF: 5")
	fake.Says(t, "hung up")
	bye, err := caller.Call(t.Context(), caller.Options{URI: node.URI(slug), Talk: 20 * time.Second, Codecs: []string{"PCMU"}, Digits: "0"})
	if err != nil || !bye.EndedByPeer || bye.Reason != `Q.850;cause=16;text="agent_hangup"` {
		t.Errorf("the call that the model hangs up: %+v, %v", bye, err)
	}
	b := &bed{Node: node, op: node.Operator(t)}
	if rec := b.records(t, 2)[rep.CallID]; !strings.HasPrefix(rec.Worker, "rtc_") {
		t.Errorf("the record names worker %q, want the session's id", rec.Worker)
	}
}
