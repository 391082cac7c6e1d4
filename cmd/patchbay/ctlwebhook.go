package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

var listWebhooks = table("ID\tKIND\tURL\tEVENTS\tSTATUS", func(v control.WebhookView) []any {
	return []any{v.ID, v.Kind, v.URL, strings.Join(v.Events, ","), v.Status}
})

var listDeliveries = table("EVENT ID\tEVENT\tCALL\tAT\tSTATE\tTRIES\tFAILURE", func(v control.Delivery) []any {
	return []any{v.EventID, v.Event, v.Call, v.At.Format(time.RFC3339), v.State, v.Attempts, v.Failure}
})

// webhooks are what hears of events.
func (r *remote) webhooks() *cobra.Command {
	cmd := r.object("webhook", "URLs that hear of events", listWebhooks)
	test := &cobra.Command{Use: "test <id>", Short: "Send it an event of the type webhook.test", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.do(cmd, "webhook", "test", control.ID{ID: args[0]}, printJSON)
		}}
	cmd.AddCommand(r.webhookRotate(), r.webhookDeliveries(), r.webhookRedeliver(), test)
	return cmd
}

func (r *remote) webhookRotate() *cobra.Command {
	var in control.Rotation
	var file string
	var revision uint64
	cmd := &cobra.Command{Use: "rotate <id>", Short: "Add a secret that signs, or end some", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file != "" {
				secret, err := readSecret(cmd.InOrStdin(), file)
				if err != nil {
					return err
				}
				in.Secret = secret
			}
			in.ID, in.Revision = args[0], endpoint.Revision(revision)
			return r.do(cmd, "webhook", "rotate", in, printJSON)
		}}
	f := cmd.Flags()
	f.StringVar(&file, "secret-file", "", "file with the new secret; -: standard input; none: one is made and shown once")
	f.StringSliceVar(&in.Remove, "remove", nil, "ids of secrets that end")
	f.Uint64Var(&revision, "revision", 0, "only when it is still at this revision")
	return cmd
}

func (r *remote) webhookDeliveries() *cobra.Command {
	var in control.DeliveryQuery
	cmd := &cobra.Command{Use: "deliveries <id>", Short: "Show what was sent to it, waits, or was given up", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.ID = args[0]
			return r.do(cmd, "webhook", "deliveries", in, listDeliveries)
		}}
	cmd.Flags().StringVar(&in.State, "state", "", "waiting, delivered or dead; empty: dead")
	cmd.Flags().IntVar(&in.Limit, "limit", 0, "how many at most")
	return cmd
}

func (r *remote) webhookRedeliver() *cobra.Command {
	var in control.Redelivery
	cmd := &cobra.Command{Use: "redeliver <id>", Short: "Send it events again", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.ID = args[0]
			return r.do(cmd, "webhook", "redeliver", in, func(w io.Writer, raw json.RawMessage) error {
				var got control.Redelivered
				if err := json.Unmarshal(raw, &got); err != nil {
					return fmt.Errorf("reply: %w", err)
				}
				fmt.Fprintf(w, "%d events will be sent again\n", got.Redelivered)
				return nil
			})
		}}
	f := cmd.Flags()
	f.StringVar(&in.EventID, "event", "", "id of the event")
	f.StringVar(&in.DeliveryID, "delivery", "", "id of the delivery")
	f.BoolVar(&in.AllDead, "all-dead", false, "all that was given up and is kept")
	return cmd
}
