package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

// exportPage is how many objects are asked for at once.
const exportPage = 200

func (r *remote) exportCommand() *cobra.Command {
	var slugs bool
	var path string
	cmd := &cobra.Command{Use: "export", Short: "Write the account's endpoints and agents, one JSON object a line",
		Long: `Write the account's agents and endpoints, one JSON object a line, as "ctl import" reads them. Agents' secrets are never in it, and no
passwords: add "auth_secret", or "password", to such a line before it is imported where the object does not exist. Slugs are credentials and left out, so that
an import elsewhere makes new ones; --with-slugs writes them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if path == "" {
				return r.with(cmd, func(ask asker) error { return export(ask, out, slugs) })
			}
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return fmt.Errorf("export: %w", err)
			}
			err = r.with(cmd, func(ask asker) error { return export(ask, f, slugs) })
			if closed := f.Close(); err == nil {
				err = closed
			}
			if err != nil { // a part of an export is none
				_ = os.Remove(path)
			}
			return err
		}}
	cmd.Flags().BoolVar(&slugs, "with-slugs", false, "also the slugs: whoever reads them may call")
	cmd.Flags().StringVarP(&path, "output", "o", "", "a new file, mode 0600, instead of standard output")
	return cmd
}

// export writes agents before endpoints: an import reads them in that order.
func export(ask asker, out io.Writer, slugs bool) error {
	w := bufio.NewWriter(out)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	write := func(l control.Line, spec any) (err error) {
		if l.Spec, err = json.Marshal(spec); err != nil {
			return err
		}
		return enc.Encode(l)
	}
	err := everyItem(ask, "agent", func(v control.AgentView) error {
		return write(control.Line{Kind: control.LineAgent, ID: v.ID}, v.AgentSpec)
	})
	if err != nil {
		return err
	}
	err = everyItem(ask, "endpoint", func(v control.EndpointView) error {
		l := control.Line{Kind: control.LineEndpoint, ID: v.ID, User: v.User, ProjectID: v.ProjectID}
		if v.Kind != endpoint.KindSlug && v.Kind != endpoint.KindAddress {
			l.As = v.Kind
		}
		if v.Kind == endpoint.KindDomain {
			l.Domain = v.Domain
		}
		if v.Origin != endpoint.KindOfNative {
			l.Origin = v.Origin
		}
		if prefix := len(v.Slug) - endpoint.SlugSecret - 1; slugs {
			l.Slug = v.Slug
		} else if prefix > 0 {
			l.SlugPrefix = v.Slug[:prefix]
		}
		return write(l, v.EndpointSpec)
	})
	if err != nil {
		return err
	}
	return w.Flush()
}

// tooLarge reports that a page does not fit in a message.
func tooLarge(err error) bool {
	var told *control.Error
	return errors.As(err, &told) && len(told.Problems) == 1 && told.Problems[0].Field == "limit"
}

// everyItem gives each item of a list to do, page by page.
func everyItem[T any](ask asker, noun string, do func(T) error) error {
	limit := exportPage
	for cursor := ""; ; {
		var page control.Page[T]
		err := ask(noun, "list", control.PageRequest{Limit: limit, Cursor: cursor}, &page)
		if tooLarge(err) && limit > 1 {
			limit /= 2
			continue
		}
		if err != nil {
			return err
		}
		for _, v := range page.Items {
			if err := do(v); err != nil {
				return err
			}
		}
		if cursor = page.Next; cursor == "" {
			return nil
		}
	}
}
