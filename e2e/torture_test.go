package e2e_test

import (
	"encoding/csv"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/e2e/rig"
)

// tortureDir holds the messages of RFC 4475 and RFC 5118, with what is owed to
// each.
const tortureDir = "../sip/testdata/torture"

// A torture is one of them.
type torture struct {
	file, layer, owed, raw string
}

func tortures(t *testing.T) []torture {
	t.Helper()
	f, err := os.Open(filepath.Join(tortureDir, "oracle.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var all []torture
	for _, row := range rows[1:] {
		raw := read(t, row[0])
		all = append(all, torture{file: row[0], layer: row[2], owed: row[4], raw: raw})
	}
	if len(all) < 61 {
		t.Fatalf("%d messages, want the 61 of RFC 4475 and RFC 5118", len(all))
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	for _, dir := range []string{"rfc4475", "rfc5118"} {
		if raw, err := os.ReadFile(filepath.Join(tortureDir, dir, filepath.Base(file))); err == nil {
			return string(raw)
		}
	}
	t.Fatalf("no message %s", file)
	return ""
}

// readable is the one message of wrong syntax that may reach a decision: a
// Date that cannot be read may be ignored, as long as nothing acts on it
// (RFC 4475 3.1.2.12), and without it the INVITE is a good one.
const readable = "baddate.dat"

func TestNoTortureMessageHurtsTheNode(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	all := tortures(t)
	outcomes := map[string]string{}
	broken := func(m torture) bool { return m.layer == "syntax" && m.file != readable }
	before := b.Metric(rig.Decisions)
	inflict(t, b, outcomes, all, broken)
	if after := b.Metric(rig.Decisions); after != before {
		t.Errorf("%v decisions were made about messages whose syntax is wrong, want none", after-before)
	}
	inflict(t, b, outcomes, all, func(m torture) bool { return !broken(m) })
	if n := b.Metric(rig.Panics); n != 0 {
		t.Errorf("%v panics were contained, want none", n)
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%-16s %-12s %-6s %-6s %s\n", "message", "layer", "UDP", "TCP", "acceptable")
	for _, m := range all {
		fmt.Fprintf(&table, "%-16s %-12s %-6s %-6s %s\n", m.file, m.layer, outcomes[m.file+" udp"], outcomes[m.file+" tcp"], m.owed)
	}
	t.Logf("outcomes of the torture messages of RFC 4475 and RFC 5118:\n%s", table.String())
	b.Idle(t, settle)
}

// inflict sends some of the messages over both transports, each from a socket
// of its own, and sees that the node answers a good request after each.
func inflict(t *testing.T, b *bed, outcomes map[string]string, all []torture, some func(torture) bool) {
	t.Helper()
	var mu sync.Mutex
	byName := map[string]torture{}
	for _, m := range all {
		if some(m) {
			byName[m.file+" udp"], byName[m.file+" tcp"] = m, m
		}
	}
	rig.Together(t, 12, slices.Sorted(maps.Keys(byName)), func(t *testing.T, name string) {
		_, transport, _ := strings.Cut(name, " ")
		victim := b.Dial(t, transport)
		victim.Raw(withRport(byName[name].raw))
		got := outcome(victim)
		victim.Close()
		mu.Lock()
		outcomes[name] = got
		mu.Unlock()
		good := rig.Request{Method: "OPTIONS", URI: "sip:" + b.SIP.String()}.Fresh()
		if got := b.Dial(t, transport).Final(good); got.Status() != 200 {
			t.Errorf("afterwards OPTIONS got %q, want 200", got.Line())
		}
	})
}

// quiet is how long a message may wait for its answer: those that get none
// cost as much.
const quiet = 500 * time.Millisecond

// outcome is the status of the first final response, else of the last
// provisional one, else none.
func outcome(p *rig.Peer) string {
	got := "none"
	for end := time.Now().Add(quiet); ; {
		msg, ok := p.Next(time.Until(end))
		if !ok {
			return got
		}
		if status := msg.Status(); status > 0 {
			got = fmt.Sprint(status)
			if status >= 200 {
				return got
			}
		}
	}
}

var topVia = regexp.MustCompile(`(?im)^(via|v)\s*:\s*SIP\s*/\s*[27]\.0\s*/\s*\w+\s+[^\s;,]+`)

// withRport asks for the answer at the port that the message comes from: the
// messages name ports where nobody listens.
func withRport(raw string) string {
	at := topVia.FindStringIndex(raw)
	if at == nil {
		return raw
	}
	return raw[:at[1]] + ";rport" + raw[at[1]:]
}
