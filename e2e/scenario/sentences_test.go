package scenario_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// parts are what must be shown, in the words in which it was asked for.
var parts = []struct{ name, text string }{
	{"Dialogs", "re-INVITE and UPDATE (address and port change, codec change, hold by sendonly, inactive and c=0.0.0.0, resume; `o=` version rises only on change; " +
		"glare 491), offerless INVITE and re-INVITE, late ACK with SDP, 100rel and PRACK both ways, 183 early media with ringback or the agent's own audio " +
		"(per endpoint), session timers (RFC 4028, both roles, 422, expiry ends the call), in-dialog OPTIONS, INFO (dtmf-relay and dtmf), MESSAGE and " +
		"SUBSCRIBE refused properly with Allow, unknown dialogs 481, CSeq order 500, merged requests 482, route sets and Record-Route kept, strict routers " +
		"tolerated. Hold reaches the agent as an event and stops its audio towards the carrier."},
	{"Transfer", "an agent or the control API sends REFER (blind, and attended with Replaces) with NOTIFY results back to both; transfer by a second INVITE " +
		"and a bridge when the carrier refuses REFER; REFER from the carrier accepted or refused by policy (603 by default). Headers set by the agent on " +
		"REFER, BYE and 200. P-Asserted-Identity, Diversion, User-to-User, Identity and X- headers reach the agent and the events."},
	{"Way out", "RFC 3263 (NAPTR, SRV with priority and weight, failover on 503 and time-out, cached with TTL) through a well-kept DNS library; TCP when a " +
		"request exceeds 1300 bytes and the peer allows; TLS with verification and SNI; PROXY protocol v2 from named balancers only; IPv6 throughout."},
	{"DTMF", "RFC 4733 in without marker, repeated, two clock rates; INFO; out to the carrier; in-band detection only where the carrier offers no telephone-event."},
}

// unshown is what no scenario shows yet. Nothing may be added; a row that gets its
// scenario leaves.
var unshown = []string{
	"IPv6 throughout",
}

var (
	sentenceRow = regexp.MustCompile(`^\| (.+?) \| (.*) \|$`)
	quoted      = regexp.MustCompile("`([^`]+)`")
	between     = regexp.MustCompile(`^[ ,;.:()]*(and)?[ ,;.:()]*$`)
)

// TestEverySentenceHasItsScenarios holds docs/scenarios.md to the words of what was
// asked for: each has a row, each row names scenarios that are there, and each
// scenario is in a row.
func TestEverySentenceHasItsScenarios(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "scenarios.md"))
	if err != nil {
		t.Fatal(err)
	}
	there := scenarioNames(t)
	named := map[string]bool{}
	_, rest, _ := strings.Cut(string(text), "\n## "+parts[0].name)
	for i, part := range parts {
		table := rest
		if i+1 < len(parts) {
			var found bool
			if table, rest, found = strings.Cut(rest, "\n## "+parts[i+1].name); !found {
				t.Fatalf("docs/scenarios.md has no part %q after %q", parts[i+1].name, part.name)
			}
		}
		left := part.text
		for line := range strings.Lines(table) {
			row := sentenceRow.FindStringSubmatch(strings.TrimSpace(line))
			if row == nil || row[1] == "what" || strings.HasPrefix(row[1], "-") {
				continue
			}
			before, after, found := strings.Cut(left, row[1])
			if !found || !between.MatchString(before) {
				t.Errorf("%s: %q does not follow in what was asked for: %q", part.name, row[1], left)
				continue
			}
			left = after
			count := 0
			for _, m := range quoted.FindAllStringSubmatch(row[2], -1) {
				if !slices.Contains(there, m[1]) {
					t.Errorf("%s: %q: there is no scenario %s", part.name, row[1], m[1])
				}
				named[m[1]] = true
				count++
			}
			if waits := slices.Contains(unshown, row[1]); waits != (count == 0) {
				t.Errorf("%s: %d scenarios show %q; that it has none is known: %v", part.name, count, row[1], waits)
			}
		}
		if !between.MatchString(left) {
			t.Errorf("%s: no row for %q", part.name, left)
		}
	}
	for _, name := range there {
		if !named[name] {
			t.Errorf("docs/scenarios.md does not say what %s shows", name)
		}
	}
}

// scenarioNames are the names of all scenarios, of our own client's and SIPp's.
func scenarioNames(t *testing.T) (all []string) {
	t.Helper()
	for _, s := range scripts(t) {
		all = append(all, s.name)
	}
	for _, f := range sippFiles(t) {
		if !slices.Contains(all, f.name) {
			all = append(all, f.name)
		}
	}
	return all
}
