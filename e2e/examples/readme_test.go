package examples_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"patchbay/e2e/rig"
	"patchbay/internal/testkit"
)

// curls is the block of the README that talks HTTP.
var curls = regexp.MustCompile("(?s)```sh\n(KEY=.*?)```")

// TestTheReadmesRequestsWorkAsWritten runs them as they stand, in a folder whose
// data is a node's. Only curl's own configuration leads the README's addresses
// to the node, and makes an HTTP error an exit code.
func TestTheReadmesRequestsWorkAsWritten(t *testing.T) {
	t.Parallel()
	testkit.Tool(t, "curl")
	node := rig.Start(t, nil)
	for _, name := range []string{"README.md", "docs/http-api.md"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		found := curls.FindSubmatch(text)
		if found == nil {
			t.Fatalf("%s has no block that begins with KEY=", name)
		}
		dir := t.TempDir()
		config := fmt.Sprintf("silent\nshow-error\nfail-with-body\nnoproxy = \"*\"\nconnect-to = \"127.0.0.1:8080:%s\"\nconnect-to = \"localhost:8443:%s\"\n", node.HTTP, node.HTTPS)
		if err := os.WriteFile(filepath.Join(dir, ".curlrc"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(node.Dir, filepath.Join(dir, "data")); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "bash", "-e", "-c", string(found[1]))
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir, "CURL_HOME="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		if name == "README.md" {
			for _, want := range []string{`"name":"bot"`, `"sip_uri":"sip:night-`, `{"items":[]}`, `"data":[{`, `"allowedCidrRanges":`} {
				if !strings.Contains(string(out), want) {
					t.Errorf("%s: no %s in\n%s", name, want, out)
				}
			}
		}
	}
}
