package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"patchbay/config"
)

// dockerfile is the instructions of the Dockerfile, as words.
func dockerfile(t *testing.T) (all [][]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(tree, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, strings.Fields(line))
		}
	}
	return all
}

// instructions are those of one kind, each without its word.
func instructions(t *testing.T, word string) (all []string) {
	t.Helper()
	for _, words := range dockerfile(t) {
		if words[0] == word {
			all = append(all, strings.Join(words[1:], " "))
		}
	}
	return all
}

func TestTheFirstStageOfTheImagePullsNothing(t *testing.T) {
	t.Parallel()
	if got := instructions(t, "FROM"); !slices.Equal(got, []string{"scratch AS outside", "golang:${GO} AS build", "outside"}) {
		t.Errorf("stages: %q", got)
	}
	if got := instructions(t, "COPY")[0]; got != "LICENSE bi[n]/patchbay* /" {
		t.Errorf("COPY %s: it fails where no binary was built outside", got)
	}
	outside := true
	for _, words := range dockerfile(t)[2:] {
		outside = outside && words[0] != "FROM"
		if outside && words[0] == "RUN" {
			t.Errorf("nothing can run in an image from scratch: %q", words)
		}
	}
}

func TestTheImageIsBuiltWithTheGoThatTheModuleAsksFor(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile(filepath.Join(tree, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(mod), "\ngo ")
	asked, _, _ := strings.Cut(rest, "\n")
	if got := instructions(t, "ARG")[0]; !strings.HasPrefix(asked+".", strings.TrimPrefix(got, "GO=")+".") {
		t.Errorf("go.mod asks for Go %s, and the image has ARG %s", asked, got)
	}
}

func TestTheImageSaysWhatTheProgramDoes(t *testing.T) {
	t.Parallel()
	if got := instructions(t, "USER"); !slices.Equal(got, []string{"65532:65532"}) {
		t.Errorf("user %q; want a number, so that it can be told from root", got)
	}
	def, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	exposed := strings.Join(instructions(t, "EXPOSE"), " ")
	for _, listener := range []struct{ at, protocol string }{
		{def.SIP.UDP, "udp"}, {def.SIP.TCP, "tcp"}, {def.HTTP.Listen, "tcp"}, {def.HTTP.TLS, "tcp"}, {def.NATS.Listen, "tcp"},
	} {
		_, port, _ := strings.Cut(listener.at, ":")
		if !strings.Contains(exposed, port+"/"+listener.protocol) {
			t.Errorf("EXPOSE %s lacks %s/%s", exposed, port, listener.protocol)
		}
	}
	_, check, _ := strings.Cut(instructions(t, "HEALTHCHECK")[0], "CMD ")
	for _, form := range append(instructions(t, "ENTRYPOINT"), check) {
		var words []string
		if err := json.Unmarshal([]byte(form), &words); err != nil || words[0] != "/patchbay" {
			t.Errorf("%q is not the program itself, and there is no shell: %v", form, err)
			continue
		}
		if cmd, _, err := root().Find(words[1:]); err != nil || len(words) > 1 && !cmd.Runnable() {
			t.Errorf("%q: %v", form, err)
		}
	}
	if got := instructions(t, "CMD"); !slices.Equal(got, []string{`["serve"]`}) {
		t.Errorf("CMD %q", got)
	}
}

func TestAnImageIsMadeOfEveryFolderOfTheProgramAndNothingElse(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(tree, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	if !slices.Contains(lines, "*") {
		t.Error(".dockerignore does not begin with nothing")
	}
	entries, err := os.ReadDir(tree)
	if err != nil {
		t.Fatal(err)
	}
	apart := []string{"bench", "e2e", "examples"} // programs and tests beside the product
	for _, e := range entries {
		code, _ := filepath.Glob(filepath.Join(tree, e.Name(), "*.go"))
		deeper, _ := filepath.Glob(filepath.Join(tree, e.Name(), "*", "*.go"))
		source := len(code)+len(deeper) > 0 && !slices.Contains(apart, e.Name())
		if slices.Contains(lines, "!"+e.Name()) != (source || slices.Contains([]string{"LICENSE", "go.mod", "go.sum"}, e.Name())) {
			t.Errorf(".dockerignore and %s: it is source of the program: %v", e.Name(), source)
		}
	}
}
