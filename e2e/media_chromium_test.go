package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"patchbay/e2e/rig"
	"patchbay/internal/caller"
	"patchbay/internal/testkit"
	"patchbay/internal/tone"
)

// A reported is what the page in testdata/browser says, one thing at a time.
type reported struct {
	Ready    bool   `json:"ready"`
	Error    string `json:"error"`
	Location string `json:"location"`
	Codec    string `json:"codec"`
	Call     struct {
		CallID string `json:"call_id"`
		From   party  `json:"from"`
		To     party  `json:"to"`
	} `json:"call"`
	Peaks []struct{ Hz, DB float64 } `json:"peaks"`
	Said  []note                     `json:"said"`
}

// A pageServer serves the page, from an origin other than the node's.
type pageServer struct {
	*httptest.Server
	reports chan reported
}

func newPageServer(t *testing.T) *pageServer {
	t.Helper()
	p := &pageServer{reports: make(chan reported, 16)}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServer(http.Dir("testdata/browser")))
	mux.HandleFunc("POST /report", func(_ http.ResponseWriter, r *http.Request) {
		var what reported
		if err := json.NewDecoder(r.Body).Decode(&what); err != nil {
			t.Errorf("the page's report: %v", err)
		}
		p.reports <- what
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.CloseClientConnections) // pages keep theirs
	t.Cleanup(p.Close)
	return p
}

// next is the next thing that the page reports.
func (p *pageServer) next(t *testing.T, limit time.Duration) reported {
	t.Helper()
	select {
	case r := <-p.reports:
		if r.Error != "" {
			t.Fatalf("the page says: %s", r.Error)
		}
		return r
	case <-time.After(limit):
		t.Fatalf("the page said nothing for %v", limit)
		return reported{}
	}
}

// Frequencies of what the browser says, and the longest wait for its start.
const (
	browserTone  = 600
	browserStart = 2 * time.Minute
)

// browse opens a page in Chromium until the test ends. Its microphone is a file
// with a tone.
func browse(t *testing.T, page string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "patchbay-e2e-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	mic := filepath.Join(dir, "mic.wav")
	if err := caller.WriteWAV(mic, 48000, tone.Generate(browserTone, 48000, 10*48000)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(testkit.Tool(t, "chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--disable-dev-shm-usage", "--disable-features=WebRtcHideLocalIpsWithMdns", "--autoplay-policy=no-user-gesture-required",
		"--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--use-file-for-fake-audio-capture="+mic,
		"--enable-logging=stderr", "--user-data-dir="+filepath.Join(dir, "profile"), page)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it has many processes
	out, err := os.Create(filepath.Join(dir, "chromium.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait() // killed
		_ = out.Close()
		if text, err := os.ReadFile(out.Name()); err == nil && t.Failed() {
			t.Logf("chromium wrote:\n%s", text)
		}
		for range 50 { // until the last of its processes writes no more
			if os.RemoveAll(dir) == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
}

func TestABrowserDialsInAndBothSidesHearEachOther(t *testing.T) {
	t.Parallel()
	testkit.Tool(t, "chromium")
	page := newPageServer(t)
	s := newStage(t, rig.Settings{"http.cors_origins": page.URL})
	agent := s.op.Agent(t, "dialin", nil)
	key, err := os.ReadFile(filepath.Join(s.Dir, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	browse(t, page.URL+"/agent.html?"+url.Values{"node": {"http://" + s.HTTP}, "agent": {agent.ID}, "key": {strings.TrimSpace(string(key))}}.Encode())
	if !page.next(t, browserStart).Ready {
		t.Fatal("the page did not say that it is ready")
	}
	for _, codec := range []string{"PCMU", "G722"} {
		t.Run(codec, func(t *testing.T) {
			ctx, enough := context.WithCancel(t.Context())
			defer enough()
			var measured reported
			got := make(chan struct{})
			go func() {
				defer close(got)
				select {
				case measured = <-page.reports:
				case <-time.After(talkLimit):
				}
				enough()
			}()
			const freq = 1000
			ep := s.op.Endpoint(t, agent.ID, nil)
			rep := s.dialUntil(t, ctx, ep.Slug, caller.Options{Codecs: []string{codec},
				Talk: talkLimit, KeepHeard: true, Payload: steady(codec, freq)})
			<-got
			answered(t, rep, codec)
			if measured.Error != "" {
				t.Fatalf("the page says: %s", measured.Error)
			}
			peaks(t, measured, freq)
			hears(t, "the carrier", rep.Heard, browserTone, rep.HeardRate, 2*time.Second)
			if c := measured.Call; c.From.User != "patchbay-caller" || c.From.Trusted || strings.Contains(fmt.Sprint(c), secret(ep)) {
				t.Errorf("the page was told of %+v, want the caller, not trusted, and no slug", c)
			}
			if want := "/v1/calls/" + measured.Call.CallID + "/webrtc"; measured.Location != want {
				t.Errorf("Location was %q, want %q", measured.Location, want)
			}
			if want := "audio/" + codec; measured.Codec != want {
				t.Errorf("the browser speaks %s, want %s", measured.Codec, want)
			}
			said := page.next(t, settle).Said
			if len(said) < 2 || said[0].Type != "call.started" || said[len(said)-1].Type != "call.ended" {
				t.Errorf("over the data channel the page heard %v, want call.started to call.ended", said)
			}
		})
	}
	s.Idle(t, settle)
}

// peaks fails the test unless the page heard one frequency, most of the time.
func peaks(t *testing.T, r reported, freq float64) {
	t.Helper()
	right := 0
	for _, p := range r.Peaks {
		if p.Hz > freq-15 && p.Hz < freq+15 && p.DB > -40 {
			right++
		}
	}
	if len(r.Peaks) == 0 || right < len(r.Peaks)*9/10 {
		t.Errorf("the browser heard %v Hz in %d of %d looks, want 9 of 10:%s", freq, right, len(r.Peaks), fmt.Sprint(r.Peaks))
	}
}
