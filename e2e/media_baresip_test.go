package e2e_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/control"
	"patchbay/e2e/rig"
	"patchbay/internal/caller"
	"patchbay/internal/tone"
)

// A baresip is a softphone of another project that places one call, says what
// is in a file and writes what it hears to another.
type baresip struct {
	dir       string
	transport string
	sip, rtp  int    // its ports
	codec     string // one, or several with commas: those of G.711 only
	more      string // further parameters of its account
	lines     int    // calls at a time; 0: 1
}

// baresipConfig needs its directory, SIP port, first RTP port, last RTP port,
// codec module, sample rate (twice), calls at a time. The player is a device that nobody listens
// to: baresip decodes only where there is one.
const baresipConfig = `poll_method epoll
sip_listen 127.0.0.1:%[2]d
net_interface 127.0.0.1
call_max_calls %[7]d
rtp_ports %[3]d-%[4]d
audio_source aufile,%[1]s/said.wav
audio_player aubridge,nowhere
audio_alert aubridge,nobody
ausrc_srate %[6]d
auplay_srate %[6]d
ausrc_channels 1
auplay_channels 1
statmode_default off
module_path /usr/lib/baresip/modules
module %[5]s.so
module aufile.so
module aubridge.so
module sndfile.so
module_app account.so
module_app menu.so
snd_path %[1]s
`

// write makes the softphone's configuration. It does not register.
func (b baresip) write(t *testing.T, freq float64, rate int) {
	t.Helper()
	modules := map[string]string{"PCMU": "g711", "PCMA": "g711", "G722": "g722"}
	first, _, _ := strings.Cut(b.codec, ",")
	files := map[string]string{
		"config":   fmt.Sprintf(baresipConfig, b.dir, b.sip, b.rtp, b.rtp+8, modules[first], rate, max(b.lines, 1)),
		"accounts": fmt.Sprintf("<sip:phone@127.0.0.1;transport=%s>;regint=0;audio_codecs=%s%s\n", b.transport, b.codec, b.more),
		"contacts": "",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := caller.WriteWAV(filepath.Join(b.dir, "said.wav"), rate, tone.Generate(freq, rate, 60*rate)); err != nil {
		t.Fatal(err)
	}
}

// dials has a softphone call an endpoint, talk until so many packets have gone
// each way and hang up, and returns what it heard.
func (b *bed) dials(t *testing.T, phone baresip, ep control.EndpointView, uri string, packets uint64) []int16 {
	t.Helper()
	r := phone.begin(t, b.Port(t, 2))
	r.tell("dial", uri)
	v := b.talks(t, b.op.CallOf(t, ep, string(call.StateEstablished)).ID, packets)
	r.tell("hangup", "")
	b.record(t, v.ID)
	return phone.one(t, r.quit())
}

// one is what it heard in its only call, once it has ended.
func (b baresip) one(t *testing.T, said string) []int16 {
	t.Helper()
	heard := b.calls(t)
	if len(heard) != 1 {
		t.Fatalf("baresip heard %d calls, want 1:\n%s", len(heard), said)
	}
	return heard[0]
}

// readWAV returns the 16-bit samples of a mono RIFF file.
func readWAV(t *testing.T, path string) []int16 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, []byte("data"))
	if !bytes.HasPrefix(b, []byte("RIFF")) || at < 0 || len(b) < at+8 {
		t.Fatalf("%s is no RIFF file of %d bytes", path, len(b))
	}
	pcm := make([]int16, (len(b)-at-8)/2)
	for i := range pcm {
		pcm[i] = int16(binary.LittleEndian.Uint16(b[at+8+2*i:]))
	}
	return pcm
}

func TestBaresipHearsItsOwnTone(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	runs := []string{"udp PCMU", "tcp PCMU", "udp G722"}
	rig.Together(t, len(runs), runs, func(t *testing.T, name string) {
		transport, codec, _ := strings.Cut(name, " ")
		rate := map[string]int{"PCMU": 8000, "G722": 16000}[codec]
		phone := baresip{dir: t.TempDir(), transport: transport, sip: b.Port(t, 2), rtp: b.Port(t, 10), codec: codec}
		phone.write(t, 700, rate)
		ep := b.endpoint(t, nil)
		heard := b.dials(t, phone, ep, b.URI(ep.Slug), 5*word/2)
		hears(t, "baresip", heard, 700, rate, 4*time.Second)
		end := ended(t, b.Node, string(ep.Key))
		if end.EndedBy != "carrier" || end.Cause != "normal_clearing" || end.Codec != codec || end.Transport != transport {
			t.Errorf("the call was ended by %s for %s, codec %s, over %s, want carrier, normal_clearing, %s, %s",
				end.EndedBy, end.Cause, end.Codec, end.Transport, codec, transport)
		}
		if end.Lost != 0 || end.Received < 250 {
			t.Errorf("the node got %d of baresip's packets and missed %d, want 250 at least and none", end.Received, end.Lost)
		}
	})
	b.Idle(t, settle)
}
