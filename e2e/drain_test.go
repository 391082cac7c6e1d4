package e2e_test

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"patchbay/e2e/rig"
)

// endLimit is the longest time from the last reason to live to the end of a
// process.
const endLimit = 30 * time.Second

// draining waits until the node turns calls away.
func draining(t *testing.T, b *bed) {
	t.Helper()
	prober := b.Dial(t, "udp")
	rig.WaitFor(t, settle, "OPTIONS answered 503", func() bool {
		return prober.Final(rig.Request{Method: "OPTIONS", URI: "sip:" + b.SIP.String()}.Fresh()).Status() == 503
	})
}

func TestANodeThatIsToldToStopLetsItsCallsEnd(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	slug := b.endpoint(t, nil).Slug
	calls := map[string]*talk{}
	for _, transport := range rig.Transports {
		calls[transport] = b.call(t, transport, slug)
	}
	b.Signal(syscall.SIGTERM)
	draining(t, b)
	both(t, func(t *testing.T, transport string) {
		b.Play(t, rig.Scenario{File: "options-draining", Transport: transport, User: slug})
		b.Play(t, rig.Scenario{File: "draining", Transport: transport, User: slug})
		call := calls[transport]
		if got := call.Final(call.invite.Within(call.answer, "OPTIONS", 5)); got.Status() != 200 {
			t.Errorf("OPTIONS within the call got %q, want 200", got.Line())
		}
		call.Silent(time.Second, "a BYE", is("BYE"))
	})
	if _, ended := b.Ended(0); ended {
		t.Fatal("the node ended with calls up")
	}
	for path, want := range map[string]int{"/livez": http.StatusOK, "/readyz": http.StatusServiceUnavailable} {
		if status, body, err := b.Get(path); err != nil || status != want {
			t.Errorf("%s says %d %s %v while draining, want %d", path, status, body, err, want)
		}
	}
	if live := b.Metric(rig.CallsLive); live != 2 {
		t.Errorf("%v calls are live, want 2", live)
	}
	for _, call := range calls {
		call.bye(t)
	}
	code, ended := b.Ended(endLimit)
	if !ended || code != 0 {
		t.Errorf("after its last call the node ended: %v, exit code %d, want 0", ended, code)
	}
}

func TestASecondSignalEndsTheNodeWithAByeToEveryCall(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	slug := b.endpoint(t, nil).Slug
	calls := map[string]*talk{}
	for _, transport := range rig.Transports {
		calls[transport] = b.call(t, transport, slug)
	}
	b.Signal(syscall.SIGTERM)
	draining(t, b)
	b.Signal(syscall.SIGTERM)
	both(t, func(t *testing.T, transport string) {
		call := calls[transport]
		bye := call.Expect("BYE", is("BYE"))
		if reason := bye.Header("Reason"); !strings.Contains(reason, "Q.850;cause=41") {
			t.Errorf("the BYE has Reason %q, want Q.850;cause=41", reason)
		}
		call.Reply(bye)
	})
	code, ended := b.Ended(endLimit)
	if !ended || code != 0 {
		t.Errorf("after the second signal the node ended: %v, exit code %d, want 0", ended, code)
	}
}

func TestANodeWithoutCallsEndsAtOnce(t *testing.T) {
	t.Parallel()
	node := rig.Start(t, nil)
	began := time.Now()
	node.Signal(syscall.SIGINT)
	code, ended := node.Ended(endLimit)
	if !ended || code != 0 {
		t.Errorf("ended: %v, exit code %d, want 0", ended, code)
	}
	t.Logf("it took %v", time.Since(began).Round(time.Millisecond))
}
