package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/control"
)

// records are ctl's commands about calls that are over.
func (r *remote) records() *cobra.Command {
	cmd := &cobra.Command{Use: "record", Aliases: []string{"records"}, Short: "Records of calls that are over"}
	cmd.AddCommand(r.recordList(), r.get("record", showRecord))
	return cmd
}

func (r *remote) recordList() *cobra.Command {
	var in control.RecordPageRequest
	var since, until, key string
	cmd := &cobra.Command{Use: "list", Short: "List records in the order in which they were published", Args: cobra.NoArgs,
		Long: `List records in the order in which they were published, by when their calls ended.
A page may be short and name a next one: go on with its cursor.

  patchbay ctl record list --since 24h
  patchbay ctl record list --since 2026-11-01T00:00:00Z --until 2026-12-01T00:00:00Z`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			now := time.Now()
			if in.Since, err = moment(now, "--since", since); err != nil {
				return err
			}
			if in.Until, err = moment(now, "--until", until); err != nil {
				return err
			}
			in.Endpoint = endpoint.Key(key)
			return r.do(cmd, "record", "list", in, listRecords)
		}}
	f := cmd.Flags()
	f.StringVar(&since, "since", "", "calls that ended then or later: a time (RFC 3339), or how long ago, such as 24h")
	f.StringVar(&until, "until", "", "calls that ended before, likewise")
	f.StringVar(&key, "endpoint", "", "calls of the endpoint with this key")
	f.IntVar(&in.Limit, "limit", 0, "records of a page, at most 200")
	f.StringVar(&in.Cursor, "cursor", "", "where the page before ended")
	return cmd
}

// moment reads a time, or a duration before now; "": none.
func moment(now time.Time, flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %s %q: want a time such as 2026-11-21T12:00:00Z, or a duration such as 24h", errUsage, flag, text)
	}
	return at, nil
}

var listRecords = table("CALL\tENDED\tTALKED\tFROM\tAGENT\tSTATUS\tCAUSE\tBY", func(rec call.Record) []any {
	return []any{rec.ID, rec.Stages.Ended.Format(time.RFC3339), talked(rec), rec.From.User, rec.Agent, rec.Status, rec.Cause.Word, rec.EndedBy}
})

// talked is how long an answered call was up.
func talked(rec call.Record) time.Duration {
	if rec.Stages.Answered.IsZero() {
		return 0
	}
	return rec.Stages.Ended.Sub(rec.Stages.Answered).Round(time.Second)
}

var showRecord = fields(func(rec call.Record) [][2]string {
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Format(time.RFC3339Nano)
	}
	s, q := rec.Stages, rec.Quality
	return [][2]string{{"call", rec.ID.String()}, {"sip call-id", rec.SIPCallID}, {"decision", rec.DecisionID},
		{"endpoint", rec.Endpoint}, {"agent", rec.Agent}, {"worker", rec.Worker}, {"node", rec.Node},
		{"from", rec.From.URI}, {"to", rec.To.URI}, {"source", rec.Source}, {"transport", string(rec.Transport)},
		{"codec", rec.Codec}, {"status", fmt.Sprint(rec.Status)}, {"cause", fmt.Sprintf("%s (Q.850 %d)", rec.Cause.Word, rec.Cause.Q850)},
		{"ended by", rec.EndedBy}, {"invited", at(s.Invited)}, {"agent chosen", at(s.AgentChosen)}, {"heard early", at(s.EarlyMedia)}, {"answered", at(s.Answered)},
		{"acknowledged", at(s.Acked)}, {"carrier heard", at(s.FirstRTP)}, {"agent heard", at(s.FirstAgentRTP)}, {"ended", at(s.Ended)},
		{"talked", talked(rec).String()}, {"packets", fmt.Sprintf("%d received, %d sent, %d lost (%.2f %%)", q.PacketsReceived, q.PacketsSent, q.PacketsLost, q.LossPercent)},
		{"jitter, rtt", fmt.Sprintf("%.1f ms, %.1f ms", q.JitterMs, q.RTTMs)}}
})
