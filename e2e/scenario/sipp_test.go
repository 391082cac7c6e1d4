package scenario_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/control"
	"patchbay/e2e/rig"
)

// A sippFile is one scenario of SIPp's. The rows in its first comment say whom it
// calls or that it is called, what the operator does, and what the record of each
// of its calls must say.
type sippFile struct {
	name     string
	to       string // echo, nobody, missing; "": it is called
	trunk    bool   // by a trunk with a password
	operator []string
	want     record
}

// sippFiles reads testdata/sipp.
func sippFiles(t testing.TB) []sippFile {
	t.Helper()
	paths, err := filepath.Glob("testdata/sipp/*.xml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scenarios in testdata/sipp: %v", err)
	}
	var all []sippFile
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := readSIPp(strings.TrimSuffix(filepath.Base(path), ".xml"), string(text))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, f)
	}
	return all
}

func readSIPp(name, text string) (sippFile, error) {
	_, rest, _ := strings.Cut(text, "<!--")
	comment, _, found := strings.Cut(rest, "-->")
	if !found {
		return sippFile{}, errors.New("want rows in a comment")
	}
	s := script{name: name, wants: map[string]record{}}
	f := sippFile{name: name}
	for i, line := range strings.Split(comment, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		if err := s.row(i+1, line, words); err != nil {
			return f, err
		}
	}
	for _, st := range s.steps {
		switch st.verb {
		case "place":
			f.trunk = len(st.args) > 0
		case "operator":
			f.operator = st.args
		default:
			return f, fmt.Errorf("%s is SIPp's to say", st.verb)
		}
	}
	if len(s.wants) != 1 {
		return f, fmt.Errorf("want one row about records, got %d", len(s.wants))
	}
	f.to, f.want = s.to, s.wants[""]
	return f, nil
}

// sippWays are those in which SIPp can take part: it takes what comes late for
// something else, so nothing does.
var sippWays = []struct {
	name  string
	edges int
	fate  rig.Fate
}{{"straight", 1, rig.Fate{}}, {"sprayed", 3, rig.Fate{}}, {"lossy", 3, rig.Careless}}

const (
	sippAtOnce = 10 // runs of SIPp
	sippCalls  = 3  // of each run
	sippLimit  = 90 * time.Second
)

// sippSlots are the ports of the runs that there may be at once.
func (b *bed) sippSlots(t *testing.T) chan int {
	t.Helper()
	slots := make(chan int, sippAtOnce)
	for range sippAtOnce {
		slots <- b.Control.Port(t, rig.SIPpPorts)
	}
	return slots
}

// sipp has SIPp play each of its files in each way, and returns the calls that
// must have records.
func (b *bed) sipp(t *testing.T, files []sippFile, slots chan int, seed uint64) (done []played) {
	t.Helper()
	var mu sync.Mutex
	t.Run("sipp", func(t *testing.T) {
		var all sync.WaitGroup
		defer all.Wait()
		for _, f := range files {
			for i := range sippWays {
				ports := <-slots
				all.Go(func() {
					defer func() { slots <- ports }()
					t.Run(sippWays[i].name+"/"+f.name, func(t *testing.T) {
						calls := b.sippRun(t, f, i, ports, seed)
						mu.Lock()
						defer mu.Unlock()
						done = append(done, calls...)
					})
				})
			}
		}
	})
	return done
}

// sippRun is one run, and returns the calls that must have records.
func (b *bed) sippRun(t *testing.T, f sippFile, i, ports int, seed uint64) []played {
	t.Helper()
	w := sippWays[i]
	local := netip.AddrPortFrom(rig.Loopback(), uint16(ports))
	relay, err := rig.NewSprayingRelay(local, b.SIP()[:w.edges], seed+uint64(i)+uint64(len(f.name)), w.fate)
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	id := fmt.Sprintf("%s-%s-%d", w.name, f.name, seed)
	run := b.Control.Begin(t, rig.Scenario{File: f.name, Transport: "udp", User: b.slugOf(f.to), Calls: sippCalls, Limit: sippLimit, At: relay.Near(), Ports: ports,
		Args: []string{"-key", "self", relay.Far().String(), "-cid_str", id + "-%u", "-au", "acme", "-ap", "s3cret-of-the-trunk",
			"-max_invite_retrans", "10", "-max_non_invite_retrans", "40", "-T2", "400"}})
	if f.to == "" { // an INVITE is given up after 64*T1, and a busy machine starts SIPp late
		rig.WaitFor(t, settle, "SIPp listens", func() bool { return rig.Bound("udp", ports) })
	}
	var calls []played
	for n := range sippCalls {
		p := played{script: f.name, way: "sipp/" + w.name, seed: seed, want: f.want}
		p.callID = fmt.Sprintf("%s-%d", id, n+1)
		if f.to == "" {
			p.id = b.sippPlaced(t, f, relay.Far())
		}
		calls = append(calls, p)
	}
	if f.operator != nil {
		for _, c := range calls {
			b.sippOperated(t, f, c)
		}
	}
	run.Finish()
	return calls
}

// slugOf is what is dialled to reach echo, nobody or missing.
func (b *bed) slugOf(to string) string {
	if to == "missing" {
		return "e2e-abcdefghjkmnpqrstuvwxyz23"
	}
	return b.slugs[to]
}

// sippPlaced has the node call SIPp.
func (b *bed) sippPlaced(t *testing.T, f sippFile, at netip.AddrPort) call.ID {
	t.Helper()
	in := control.NewCall{To: "sip:bob@" + at.String(), AgentID: b.agents["echo"]}
	if f.trunk {
		id, err := b.trunk(at, "udp")
		if err != nil {
			t.Fatal(err)
		}
		in.To, in.Trunk = "15550199", id
	}
	var v control.CallView
	b.Op.Do(t, "call", "create", in, &v)
	return v.ID
}

// sippOperated has the operator do what the file says: once a call is established
// that is answered.
func (b *bed) sippOperated(t *testing.T, f sippFile, c played) {
	t.Helper()
	p := &play{bed: b, placed: map[string]call.ID{}, live: map[string]call.ID{}}
	if c.id != 0 {
		p.placed[""] = c.id
	}
	k := &party{callID: c.callID}
	if f.want.status == 200 {
		rig.Until(t, rig.Patience, func() (string, bool) {
			_, err := p.established(k, "")
			return fmt.Sprintf("%s is established: %v", c.callID, err), err == nil
		})
	}
	if err := p.operate(k, step{verb: "operator", args: f.operator}); err != nil {
		t.Errorf("%s: %v", c.callID, err)
	}
}
