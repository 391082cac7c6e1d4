package archtest

import (
	"fmt"
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// formats are the types that carry a version, as what is stored and sent
// between nodes does, and where the first release's own writing of each is kept
// (a file of testdata/v1, which a test of that package reads), or why there is
// none. A new one cannot be forgotten: the test wants it here.
var formats = map[string]string{
	// Messages between nodes.
	"cluster/envelope.inviteHead":   "cluster/envelope/testdata/v1/invite.txt",
	"cluster/envelope.intakeHead":   "cluster/envelope/testdata/v1/intake.txt",
	"cluster/envelope.inDialogHead": "cluster/envelope/testdata/v1/in-dialog.txt",
	"cluster/envelope.sendHead":     "cluster/envelope/testdata/v1/send.txt",
	"cluster/envelope.outcomeLine":  "cluster/envelope/testdata/v1/outcome.txt",
	"cluster/envelope.deliveryLine": "cluster/envelope/testdata/v1/delivery.txt",
	"cluster/envelope.holderLine":   "cluster/envelope/testdata/v1/holder.txt",
	"cluster/envelope.rulingLine":   "cluster/envelope/testdata/v1/ruling.txt",
	"cluster/envelope.explainLine":  "cluster/envelope/testdata/v1/explain.txt",
	"cluster/envelope.ledHead":      "cluster/envelope/testdata/v1/led.txt",
	"cluster/envelope.Command":      "cluster/envelope/testdata/v1/command.txt",
	"cluster/envelope.Result":       "cluster/envelope/testdata/v1/result.txt",
	"cluster/envelope.Beat":         "cluster/envelope/testdata/v1/beat.txt",
	"cluster/envelope.NodeCommand":  "cluster/envelope/testdata/v1/node-command.txt",
	"cluster/envelope.NodeStatus":   "cluster/envelope/testdata/v1/node-status.txt",
	"actors.Job":                    "cluster/envelope/testdata/v1/intake.txt",
	"actors.Taken":                  "cluster/envelope/testdata/v1/taken.txt",
	"actors.Question":               "cluster/envelope/testdata/v1/question.txt",
	"actors.Ruling":                 "cluster/envelope/testdata/v1/ruling.txt",
	"actors.Explanation":            "cluster/envelope/testdata/v1/explanation.txt",
	"actors.TargetQuestion":         "cluster/envelope/testdata/v1/target-question.txt",
	"actors.TargetAnswer":           "cluster/envelope/testdata/v1/target-answer.txt",
	"cluster/store.syncLine":        sameTime,
	"cluster/callout.keysLine":      sameTime,
	"cluster/callout.goneLine":      sameTime,
	"cluster/store.syncAck":         sameTime,
	"actors.CallStatus":             "body of a Result: read by name, and shown; its fields are pinned by control/testdata/api",

	// The bucket calls, the streams, the spool.
	"actors.Snapshot":                "cluster/envelope/testdata/v1/snapshot.txt",
	"cluster/journal.Head":           "cluster/journal/testdata/v1/calls.json",
	"cluster/journal.Record":         "cluster/journal/testdata/v1/calls.json",
	"cluster/journal.line":           "cluster/journal/testdata/v1/calls.json",
	"cluster/ledger.spooledRecord":   "cluster/ledger/testdata/v1/spool.json",
	"cluster/ledger.spooledEvent":    "cluster/ledger/testdata/v1/spool.json",
	"cluster/ledger.spooledSnapshot": "cluster/ledger/testdata/v1/spool.json",
	"sip/dialog.state":               "sip/dialog/testdata/v1/answered.json",
	"media.state":                    "media/testdata/v1/bridge.json",
	"media/peer.state":               "media/peer/testdata/v1/leg.json",
	"actors.CallEvent":               outward + "actors/testdata/events",

	// What is sent to webhooks.
	"cluster/hooks.item":       "cluster/hooks/testdata/v1/hooks.json",
	"cluster/hooks.mark":       "cluster/hooks/testdata/v1/hooks.json",
	"cluster/hooks.member":     "cluster/hooks/testdata/v1/hooks.json",
	"cluster/hooks.state":      "cluster/hooks/testdata/v1/hooks.json",
	"cluster/hooks.entry":      "cluster/hooks/testdata/v1/hooks.json",
	"actors/endpoint.Webhook":  "actors/endpoint/testdata/v1/webhook.json",
	"actors/endpoint.Webhooks": "actors/endpoint/testdata/v1/webhooks.json",

	// The other buckets.
	"actors/endpoint.Endpoint":     "actors/endpoint/testdata/v1/endpoint.json",
	"actors/endpoint.Agent":        "actors/endpoint/testdata/v1/agent.json",
	"actors/endpoint.Account":      "actors/endpoint/testdata/v1/account.json",
	"actors/endpoint.APIKey":       "actors/endpoint/testdata/v1/key.json",
	"actors/endpoint.Block":        "actors/endpoint/testdata/v1/block.json",
	"actors/endpoint.Domain":       "actors/endpoint/testdata/v1/domain.json",
	"actors/endpoint.Claims":       "actors/endpoint/testdata/v1/claims.json",
	"actors/endpoint.Number":       "actors/endpoint/testdata/v1/claims.json",
	"actors/endpoint.Application":  "actors/endpoint/testdata/v1/application.json",
	"actors/endpoint.Registration": "actors/endpoint/testdata/v1/registration.json",
	"actors/endpoint.Throttle":     "actors/endpoint/testdata/v1/throttle.json",
	"actors/endpoint.Throttled":    "actors/endpoint/testdata/v1/throttled.json",
	"actors/endpoint.Trunk":        "actors/endpoint/testdata/v1/trunk.json",
	"cluster/store.uniqueLine":     "cluster/store/testdata/v1/names.json",
	"cluster/store.countLine":      "cluster/store/testdata/v1/bucket.json",
	"cluster/store.indexLine":      "cluster/store/testdata/v1/bucket.json",
	"cluster/store.onceLine":       "cluster/store/testdata/v1/bucket.json",
	"cluster/stats.entry":          "cluster/stats/testdata/v1/bucket.json",
	"cluster.lease":                "cluster/testdata/v1/cluster.json",

	// What agents hear and say.
	"media.message":             outward + "media/messages_test.go",
	"media/connect.Invitation":  outward + "media/connect/testdata/nats_offer.json",
	"media/connect.Cancel":      outward + "docs/agents.md",
	"media/connect.WorkerState": "of agents' workers: docs/agents.md says what they send, and media/connect/health_test.go that it is read",
}

// Why a format needs no file of its own.
const (
	outward  = "read by others alone; pinned by " // with the file
	sameTime = "asked and answered within a second, by nodes that agree on the version or do not count; docs/adr/0009"
)

// binaries are the formats that have no JSON around them, and the files that
// pin them.
var binaries = []string{
	"sip/token/golden_test.go", "cluster/spool/testdata/segment-v1.bin", "internal/keys/frozen_test.go",
}

func TestEveryFormatIsKeptAsTheFirstReleaseWroteIt(t *testing.T) {
	t.Parallel()
	var findings []string
	seen := map[string]bool{}
	for _, s := range sources(t) {
		if s.test || under(s.dir, "bench", "examples", "internal", "cmd", "e2e", "control") {
			continue // control's API is versioned by its subject and pinned by control/testdata/api
		}
		for name, at := range versioned(s) {
			key := path.Join(s.dir) + "." + name
			seen[key] = true
			if formats[key] == "" {
				findings = append(findings, fmt.Sprintf("%s: %s carries a version and is not in formats: freeze what this release writes of it", at, key))
			}
		}
	}
	for key, file := range formats {
		if !seen[key] {
			findings = append(findings, key+" is in formats and carries no version")
		}
		if strings.Contains(file, "/testdata/v1/") {
			findings = append(findings, frozen(key, file)...)
		}
	}
	for _, file := range binaries {
		if _, err := os.Stat(filepath.Join(root, file)); err != nil {
			findings = append(findings, file+": "+err.Error())
		}
	}
	slices.Sort(findings)
	report(t, findings)
}

// frozen says what is wrong with a frozen file: it is missing, or no test of
// its package reads it.
func frozen(key, file string) (findings []string) {
	if _, err := os.Stat(filepath.Join(root, file)); err != nil {
		return []string{key + ": " + err.Error()}
	}
	dir, _, _ := strings.Cut(file, "/testdata/v1/")
	tests, _ := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	for _, name := range tests {
		if text, err := os.ReadFile(name); err == nil && strings.Contains(string(text), "testdata/v1/") {
			return nil
		}
	}
	return []string{fmt.Sprintf("%s: no test of %s reads testdata/v1", file, dir)}
}

// versioned are the struct types of a file with a field tagged v, and where
// they stand.
func versioned(s source) map[string]string {
	found := map[string]string{}
	for _, decl := range s.ast.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range gen.Specs {
			t, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			st, ok := t.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, f := range st.Fields.List {
				if f.Tag != nil && (strings.Contains(f.Tag.Value, `json:"v"`) || strings.Contains(f.Tag.Value, `json:"v,`)) {
					found[t.Name.Name] = s.at(t)
				}
			}
		}
	}
	return found
}

func TestAFormatThatWasForgottenIsFound(t *testing.T) {
	t.Parallel()
	s, err := parse("cluster/x/x.go", "package x\n\ntype line struct {\n\tV int `json:\"v\"`\n}\n\ntype other struct{ W int `json:\"w\"` }\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := versioned(s); len(got) != 1 || got["line"] == "" {
		t.Errorf("got %v", got)
	}
	if got := frozen("x.line", "cluster/x/testdata/v1/no-such-file"); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}
