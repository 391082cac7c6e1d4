package edge_test

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/sip/edge"
)

// owed returns what the oracle says that we answer: by file and transport, a
// status or "none". 404 stands for the verdict on an address nobody knows.
func owed(t *testing.T) map[string]map[call.Transport]string {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "testdata", "torture", "oracle.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil || len(lines) != 62 {
		t.Fatalf("%d lines of the oracle, want a head and 61: %v", len(lines), err)
	}
	udp, tcp := slices.Index(lines[0], "we_answer_udp"), slices.Index(lines[0], "we_answer_tcp")
	all := map[string]map[call.Transport]string{}
	for _, line := range lines[1:] {
		all[line[0]] = map[call.Transport]string{call.UDP: line[udp], call.TCP: line[tcp], call.TLS: line[tcp]}
	}
	return all
}

// TestTortureMessagesAreSurvived sends each message of RFC 4475 and RFC 5118
// to a live edge: each gets the answer that the oracle owes it, and the edge
// neither panics nor hangs.
func TestTortureMessagesAreSurvived(t *testing.T) {
	t.Parallel()
	var files []string
	for _, dir := range []string{"rfc4475", "rfc5118", "extra"} {
		found, _ := filepath.Glob(filepath.Join("..", "testdata", "torture", dir, "*.dat"))
		files = append(files, found...)
	}
	if len(files) < 61 {
		t.Fatalf("%d messages found, want 61 at least", len(files))
	}
	cfg := secureSettings(t)
	cfg.MaxConns, cfg.MaxConnsPerIP = 1000, 1000
	rig, oracle := start(t, cfg, rejecting(404), edge.Lingering(patience)), owed(t)

	var mu sync.Mutex
	var rows []string
	var all sync.WaitGroup
	slots := make(chan struct{}, 16)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			row := fmt.Sprintf("%-48s", strings.TrimPrefix(file, "../testdata/torture/"))
			got, peers := map[call.Transport]string{}, map[call.Transport]*peer{}
			for _, over := range []call.Transport{call.UDP, call.TCP, call.TLS, call.WS, call.WSS} {
				p, m := rig.over(over), string(raw)
				if over == call.UDP {
					m = withRport(raw)
				}
				p.send(m)
				wait := 2 * silence // that no answer comes
				if want := oracle[filepath.Base(file)][over]; want != "" && want != "none" {
					wait = patience
				}
				got[over], peers[over] = outcome(p, wait), p
			}
			for over, other := range map[call.Transport]call.Transport{call.TCP: call.TLS, call.TLS: call.TCP, call.WS: call.WSS, call.WSS: call.WS} {
				if got[over] == "none" && got[other] != "none" { // where the oracle does not say: on a busy machine it comes late
					got[over] = outcome(peers[over], patience)
				}
			}
			for _, over := range []call.Transport{call.UDP, call.TCP, call.TLS, call.WS, call.WSS} {
				row += fmt.Sprintf(" %s %-5s", over, got[over])
			}
			twice := strings.HasSuffix(file, "dblreq.dat") // on a stream two requests, answered in any order
			if !twice && got[call.TLS] != got[call.TCP] || got[call.WSS] != got[call.WS] {
				t.Errorf("%s: a layer of TLS changes the answer: %v", file, got)
			}
			for over, want := range oracle[filepath.Base(file)] {
				if !slices.Contains(strings.Split(want, " or "), got[over]) {
					t.Errorf("%s over %s: %s, owed %s", file, over, got[over], want)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			rows = append(rows, row)
		})
	}
	all.Wait()
	slices.Sort(rows)
	t.Log("outcomes (404 is the router's verdict):\n" + strings.Join(rows, "\n"))

	for _, over := range []call.Transport{call.UDP, call.TCP, call.TLS, call.WS, call.WSS} {
		if got := status(rig.over(over).ask(msg{method: "OPTIONS"}.String())); got != "200" {
			t.Errorf("afterwards OPTIONS over %s get %q", over, got)
		}
	}
	for _, where := range []string{"udp", "stream", "keep-alive", "dispatch", "answer", "outcome", "in-dialog"} {
		if n := rig.seen.of("panic " + where); n != 0 {
			t.Errorf("%d panics in %s", n, where)
		}
	}
}

// outcome is the status of the next answer; pongs are none.
func outcome(p *peer, wait time.Duration) string {
	for {
		switch res := p.read(wait); {
		case res == "\r\n":
		case status(res) == "":
			return "none"
		default:
			return status(res)
		}
	}
}

var topVia = regexp.MustCompile(`(?im)^(via|v)\s*:\s*SIP\s*/\s*\d\.0\s*/\s*\w+\s+[^\s;,]+`)

// withRport asks for the answer at the sender's port, which the messages' own
// sent-by does not name.
func withRport(raw []byte) string {
	at := topVia.FindIndex(raw)
	if at == nil {
		return string(raw)
	}
	return string(raw[:at[1]]) + ";rport" + string(raw[at[1]:])
}

// TestASlugNeverShowsInALog sends one slug down every path that logs.
func TestASlugNeverShowsInALog(t *testing.T) {
	t.Parallel()
	canary := "desk-canarycanarycanary234567"
	log, text := recorder()
	rig := start(t, settings(), panicking(canary), log)
	uri := "sip:" + canary + "@sip.example"
	for _, m := range []string{
		msg{method: "INVITE", uri: uri}.String(),
		msg{method: "CANCEL", uri: uri}.String(),
		msg{method: "BYE", uri: uri, toTag: rig.keys.Mint('C', 1, 1, "call-1")}.String(),
		msg{method: "REGISTER", uri: uri}.String(),
		strings.Replace(msg{method: "INVITE", uri: uri}.String(), "CSeq: 1", "CSeq: x", 1),
		strings.Replace(msg{method: "INVITE", uri: uri}.String(), "Call-ID: ", "Call-ID: "+canary, 1),
		strings.Replace(msg{method: "INVITE", uri: uri}.String(), "SIP/2.0\r\n", "SIP/7.0\r\n", 1),
		strings.Replace(msg{method: "INVITE", uri: uri}.String(), "Content-Length: 0", "Content-Length: "+canary, 1),
		strings.Replace(msg{method: "INVITE", uri: uri}.String(), "\r\nTo", "\nTo", 1),
		"INVITE " + uri + "\r\n\r\n",
		canary,
	} {
		for _, p := range []*peer{rig.udp(), rig.tcp()} {
			p.send(m)
			p.read(silence / 3)
		}
	}
	rig.stop()
	got := text()
	if strings.Contains(strings.ToLower(got), "canary") {
		t.Errorf("the slug is in the log:\n%s", got)
	}
	if !strings.Contains(got, "panic") || !strings.Contains(got, "refused") {
		t.Errorf("the paths that log were not taken:\n%s", got)
	}
	for key := range rig.seen.n {
		if strings.Contains(key, "canary") {
			t.Errorf("the slug is in the label %q", key)
		}
	}
}
