package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

// Limits of an import.
const (
	importLines = 400       // of one atomic batch
	importMost  = 950       // messages of one; any NATS server takes as many
	importBytes = 160 << 10 // of them; a message holds 256 KiB
	maxLine     = 128 << 10 // bytes of one line
)

func (r *remote) importCommand() *cobra.Command {
	var dry, partial bool
	cmd := &cobra.Command{Use: "import <file>", Short: "Make or change endpoints and agents as a file says",
		Long: `Make the endpoints and agents of a file, one JSON object a line as "ctl export" writes them, and change those whose ids exist to
what their lines say. Importing the same file again changes nothing. All lines are checked before the first is written, and every
mistake is shown with its line; one mistake keeps everything from being written, unless --partial leaves out the lines with
mistakes. Lines are written in atomic batches of up to 400. "-" reads standard input.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := cmd.InOrStdin()
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("import: %w", err)
				}
				defer f.Close()
				in = f
			}
			lines, problems, err := readLines(in)
			if err != nil {
				return fmt.Errorf("import %s: %w", args[0], err)
			}
			return r.importAll(cmd, lines, problems, dry, partial)
		}}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "check only")
	cmd.Flags().BoolVar(&partial, "partial", false, "leave out lines with mistakes, and write the others")
	return cmd
}

// readLines reads a file of lines. What is no line at all is a problem of it.
func readLines(in io.Reader) (lines []control.Line, problems []control.LineProblem, err error) {
	scan := bufio.NewScanner(in)
	scan.Buffer(make([]byte, 64<<10), maxLine)
	first := map[string]int{}
	for n := 1; scan.Scan(); n++ {
		text := bytes.TrimSpace(scan.Bytes())
		if len(text) == 0 {
			continue
		}
		var l control.Line
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.DisallowUnknownFields()
		bad := endpoint.Problem{}
		switch err := dec.Decode(&l); {
		case err != nil:
			bad = endpoint.Problem{Code: endpoint.CodeInvalid, Message: "this is no line of an export"}
			if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
				bad = endpoint.Problem{Field: strings.Trim(name, `"`), Code: "unknown", Message: "there is no such field"}
			}
		case dec.More():
			bad = endpoint.Problem{Code: endpoint.CodeInvalid, Message: "more than one JSON value"}
		case first[l.Kind+l.ID] != 0 && l.ID != "":
			bad = endpoint.Problem{Field: "id", Code: endpoint.CodeDuplicate, Message: fmt.Sprintf("line %d has the same id", first[l.Kind+l.ID])}
		}
		if bad.Code != "" {
			problems = append(problems, control.LineProblem{Line: n, Problem: bad})
			continue
		}
		first[l.Kind+l.ID], l.Line = n, n
		lines = append(lines, l)
	}
	return lines, problems, scan.Err()
}

// importAll checks every line, shows what is wrong, and writes.
func (r *remote) importAll(cmd *cobra.Command, lines []control.Line, problems []control.LineProblem, dry, partial bool) error {
	// Agents first, so that the endpoints that name them find them.
	slices.SortStableFunc(lines, func(a, b control.Line) int { return strings.Compare(a.Kind, b.Kind) })
	var sum control.Imported
	err := r.with(cmd, func(ask asker) error {
		checked, err := importPass(ask, lines, control.Import{DryRun: true})
		if err != nil {
			return err
		}
		if sum = checked; len(problems)+len(sum.Problems) > 0 && !partial || dry {
			return nil
		}
		sum, err = importPass(ask, lines, control.Import{Partial: partial})
		return err
	})
	problems = append(problems, sum.Problems...)
	slices.SortStableFunc(problems, func(a, b control.LineProblem) int { return a.Line - b.Line })
	for _, p := range problems {
		fmt.Fprintf(cmd.ErrOrStderr(), "line %d: %s\n", p.Line, strings.TrimPrefix(p.Error(), ": "))
	}
	switch word := map[bool]string{true: "would be "}[dry]; {
	case err != nil:
		return explained(cmd, err)
	case len(problems) > 0 && !partial:
		fmt.Fprintf(cmd.ErrOrStderr(), "patchbay: %d mistakes; nothing was written\n", len(problems))
		return errSilent
	default:
		fmt.Fprintf(cmd.OutOrStdout(), "%d %screated, %d %schanged, %d as they were\n", sum.Created, word, sum.Updated, word, sum.Unchanged)
	}
	if len(problems) > 0 {
		return errSilent
	}
	return nil
}

// importPass sends all lines, batch by batch, as in says.
func importPass(ask asker, lines []control.Line, in control.Import) (sum control.Imported, err error) {
	made := map[string]bool{}
	for _, l := range lines {
		made[l.ID] = made[l.ID] || l.Kind == control.LineAgent
	}
	for from := 0; from < len(lines); {
		to, size, most := from, 0, 0
		for to < len(lines) && to-from < importLines && most+messagesOf(&lines[to]) <= importMost &&
			(size == 0 || size+len(lines[to].Spec) < importBytes) {
			size, most = size+len(lines[to].Spec)+200, most+messagesOf(&lines[to])
			to++
		}
		batch := in
		batch.Lines = lines[from:to]
		if in.DryRun {
			batch.Agents = agentsOf(batch.Lines, made)
		}
		var got control.Imported
		if err := ask("account", "import", batch, &got); err != nil {
			return sum, importError(err, sum)
		}
		sum.Created, sum.Updated, sum.Unchanged = sum.Created+got.Created, sum.Updated+got.Updated, sum.Unchanged+got.Unchanged
		sum.Problems = append(sum.Problems, got.Problems...)
		from = to
	}
	return sum, nil
}

// messagesOf is how many messages a line becomes at most: its object and where
// its id leads, and the names that nobody else may have.
func messagesOf(l *control.Line) int {
	switch l.As {
	case endpoint.KindCredential:
		return 4
	case endpoint.KindRegister:
		return 3
	}
	return 2
}

// importError tells what was written before a batch failed.
func importError(err error, sum control.Imported) error {
	var told *control.Error
	if n := sum.Created + sum.Updated; n == 0 || errors.As(err, &told) && len(told.Problems) > 0 {
		return err
	}
	return fmt.Errorf("after %d created and %d changed (import the file again to go on): %w", sum.Created, sum.Updated, err)
}

// agentsOf returns the agents of the file that lines name.
func agentsOf(lines []control.Line, made map[string]bool) []string {
	var ids []string
	for _, l := range lines {
		var spec struct {
			Handler endpoint.Handler `json:"handler"`
		}
		if l.Kind != control.LineEndpoint || json.Unmarshal(l.Spec, &spec) != nil {
			continue // the server says what is wrong with it
		}
		if id := spec.Handler.Agent(); made[id] && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}
