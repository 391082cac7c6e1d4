package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"patchbay/bench/peers"
	"patchbay/bench/process"
)

// Where everything listens, all on loopback, below the ports that the kernel
// gives away.
const (
	sipAddress    = "127.0.0.1:9060"
	uasAddress    = "127.0.0.1:9062"
	natsAddress   = "127.0.0.1:9064"
	countsURL     = "http://127.0.0.1:9065/varz" // of a broker that counts
	firstHTTP     = 9066                         // one a process of Patchbay
	ngAddress     = "127.0.0.1:9076"
	relayFirst    = 14000 // of the plain forwarder
	rtpPorts      = "16000-19999"
	icePorts      = "20000-27999"
	loadA, loadB  = 9078, 9080 // of the RTP load
	readyLimit    = 60 * time.Second
	settle        = 700 * time.Millisecond // after a start: nothing of it is measured
	strangersSlug = "agent-aaaaaaaaaaaaaaaaaaaaaaaa"
)

// A target is something that takes calls and is measured.
type target struct {
	name      string
	start     func(b *bench, dir string) (*running, error)
	processes []string // their names, in the order in which they are measured, where each is told of
}

// running is a target that runs.
type running struct {
	procs  []*process.Process // measured
	beside []*process.Process // not
	user   string             // whom calls are to
}

func (r *running) stop() {
	process.StopAll(r.procs)
	process.StopAll(r.beside)
}

// launch starts a target in a folder of its own.
func (b *bench) launch(t target) (*running, func(), error) {
	dir, err := os.MkdirTemp("", "patchbay-bench-")
	if err != nil {
		return nil, nil, err
	}
	r, err := t.start(b, dir)
	end := func() {
		if r != nil {
			r.stop()
		}
		_ = os.RemoveAll(dir)
	}
	if err != nil {
		end()
		return nil, nil, fmt.Errorf("%s: %w", t.name, err)
	}
	time.Sleep(settle)
	return r, end, nil
}

// sipgoTarget answers with a status; hop as in plays.
func sipgoTarget(name string, status int, hop string) target {
	return target{name: name, start: func(b *bench, _ string) (*running, error) {
		r := &running{user: peers.KamailioUser}
		if hop == "three processes" {
			for _, args := range [][]string{{"broker", natsAddress, ""}, {"respond", "nats://" + natsAddress}} {
				if err := r.add(process.Target, b.self, args...); err != nil {
					return r, err
				}
				time.Sleep(settle)
			}
			hop = "nats://" + natsAddress
		}
		return r, r.add(process.Target, b.self, "sipgo", sipAddress, fmt.Sprint(status), hop)
	}}
}

// kamailioTarget refuses, or relays to a user agent server beside it.
func kamailioTarget(name string, relay bool) target {
	return target{name: name, start: func(b *bench, dir string) (*running, error) {
		r, uas := &running{user: peers.KamailioUser}, ""
		if relay {
			uas = uasAddress
			p, err := process.Start(process.Generator, b.self, "sipgo", uasAddress, "200", "none")
			if err != nil {
				return r, err
			}
			r.beside = append(r.beside, p)
		}
		p, err := peers.Kamailio(dir, sipAddress, uas)
		if err != nil {
			return r, err
		}
		r.procs = append(r.procs, p)
		time.Sleep(settle)
		return r, p.Alive()
	}}
}

func (r *running) add(core process.Core, program string, args ...string) error {
	p, err := process.Start(core, append([]string{program}, args...)...)
	if err != nil {
		return err
	}
	if core == process.Target {
		r.procs = append(r.procs, p)
	} else {
		r.beside = append(r.beside, p)
	}
	return nil
}

// node starts one process of Patchbay and waits until it is ready.
func (r *running) node(binary, dir, name string, more ...string) error {
	listen := fmt.Sprintf("127.0.0.1:%d", firstHTTP+len(r.procs))
	args := append([]string{"serve", "--name=" + name, "--data-dir=" + filepath.Join(dir, name), "--http-listen=" + listen, "--http-tls-listen=",
		"--sip-udp=" + sipAddress, "--sip-tcp=", "--sip-tls=", "--sip-ws=", "--log-level=warn",
		"--media-rtp-ports=" + rtpPorts, "--media-ice-ports=" + icePorts}, more...)
	if err := r.add(process.Target, binary, args...); err != nil {
		return err
	}
	return r.procs[len(r.procs)-1].Await(readyLimit, func() bool {
		res, err := http.Get("http://" + listen + "/readyz")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}
