package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"patchbay/e2e/rig"
	"patchbay/internal/caller"
)

// whipServer builds the WHIP and WHEP server that is an example of
// github.com/pion/webrtc, as the module that go.mod names has it, and runs it.
// Three things of it are changed, for a machine without a network of its own:
// where it listens, that it asks no STUN server, and that loopback is one of
// its addresses.
func whipServer(t *testing.T, port int) (*rig.Example, string) {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/pion/webrtc/v4").Output()
	if err != nil {
		t.Fatalf("find github.com/pion/webrtc: %v", err)
	}
	source := filepath.Join(strings.TrimSpace(string(dir)), "examples", "whip-whep", "main.go")
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	code := string(text)
	for old, now := range map[string]string{
		`":8080"`: `"` + address + `"`,
		`[]string{"stun:stun.l.google.com:19302"}`: `[]string{}`,
		`api := webrtc.NewAPI(`:                    `settings := webrtc.SettingEngine{}; settings.SetIncludeLoopbackCandidate(true); api := webrtc.NewAPI(webrtc.WithSettingEngine(settings), `,
	} {
		if !strings.Contains(code, old) {
			t.Fatalf("%s has no %s", source, old)
		}
		code = strings.ReplaceAll(code, old, now)
	}
	changed := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(changed, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	program := strings.TrimSuffix(changed, ".go")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, changed) // with the modules of go.mod
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the WHIP server: %v\n%s", err, out)
	}
	server, _ := rig.RunExample(t, "to access this demo", program)
	rig.WaitFor(t, settle, "the WHIP server listens", func() bool {
		res, err := http.Get("http://" + address + "/")
		if err == nil {
			_ = res.Body.Close()
		}
		return err == nil
	})
	return server, "http://" + address
}

// watch is a viewer of the server, by WHEP: it hears what came by WHIP.
func (w *worker) watch(t *testing.T, url string) func() []numbered {
	t.Helper()
	pc, err := w.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	var mu sync.Mutex
	var heard []numbered
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			mu.Lock()
			heard = append(heard, numbered{p.SequenceNumber, p.Payload})
			mu.Unlock()
		}
	})
	up := make(chan struct{})
	var once sync.Once // it may be disconnected for a moment
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			once.Do(func() { close(up) })
		}
	})
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		t.Fatal(err)
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	res, err := http.Post(url, "application/sdp", strings.NewReader(pc.LocalDescription().SDP))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusCreated {
		t.Fatalf("watch: %s, %v", res.Status, err)
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(answer)}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-up:
	case <-time.After(settle):
		t.Fatal("the viewer is not connected")
	}
	return func() []numbered {
		mu.Lock()
		defer mu.Unlock()
		return heard[:len(heard):len(heard)]
	}
}

// TestARealWHIPServerTakesACall has code that is neither ours nor made for us:
// a server that people publish to by WHIP. It sends nothing back, so what it
// took is looked at from its other side. DELETE comes, and it knows none.
func TestARealWHIPServerTakesACall(t *testing.T) {
	t.Parallel()
	const packets = 150
	s := newStage(t, nil)
	server, url := whipServer(t, s.Port(t, 1))
	heard := s.worker(t, []string{"opus"}, nil, nil).watch(t, url+"/whep")
	agent := s.op.Agent(t, "http", rig.Fields{"webrtc": rig.Fields{"connector": "http", "dialect": "whip", "url": url + "/whip", "timeout_ms": 15000}})
	says := newScript("opus", 7, 2*packets)
	rep := s.dial(t, s.op.Endpoint(t, agent.ID, nil).Slug, caller.Options{Codecs: []string{"PCMU", "opus"}, Talk: packets * 20 * time.Millisecond,
		Payload: func(n int) []byte { return says.payloads[n] }})
	answered(t, rep, "opus")
	if rep.EndedByPeer || rep.ByeStatus != 200 {
		t.Errorf("the call was ended by us: %t, its BYE got %d", rep.EndedByPeer, rep.ByeStatus)
	}
	rig.WaitFor(t, settle, "the server's viewer has the last packets", func() bool { return len(heard()) >= packets*9/10 })
	says.compare(t, "caller to the server's viewer", heard(), packets*9/10, packets/10)
	server.Says(t, "method = DELETE")
	s.Idle(t, settle)
}
