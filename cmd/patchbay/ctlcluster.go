package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"patchbay/actors/endpoint"
	"patchbay/cluster/envelope"
	"patchbay/control"
)

func (r *remote) clusterCommand() *cobra.Command {
	return &cobra.Command{Use: "cluster", Short: "Show the nodes, what they carry, and what is wrong",
		Long: `Show every node with its state, roles, version, time up, calls, partitions and slot, which broker leads which streams, and
below what an operator should look at: nodes that do not answer, partitions without an owner, replicas that are behind,
versions that differ. For the operator.

A node is ready, draining, starting, unready (NATS or JetStream does not answer it), or silent: it was heard in the last
30 s and does not answer.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.do(cmd, "node", "list", struct{}{}, showCluster)
		}}
}

// showCluster prints a table of nodes and what is to be said of all of them.
func showCluster(w io.Writer, raw json.RawMessage) error {
	var page control.Page[control.NodeView]
	if err := json.Unmarshal(raw, &page); err != nil {
		return fmt.Errorf("reply: %w", err)
	}
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "NODE\tSTATE\tROLES\tVERSION\tUP\tCALLS\tPARTITIONS\tSLOT\tLEADS")
	for _, v := range page.Items {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", v.Node, v.State, strings.Join(v.Roles, ","), cmp.Or(v.Version, "-"), upFor(v),
			load(v), number(v.Partitions), number(int(v.Slot)), leads(v.Broker))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, summary(page.Items))
	for _, line := range worries(page.Items) {
		fmt.Fprintln(w, "! "+line)
	}
	return nil
}

func upFor(v control.NodeView) string {
	if v.State == envelope.NodeSilent {
		return "-"
	}
	d := time.Duration(v.UptimeS) * time.Second
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd", int(d.Hours())/24)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	case d >= 2*time.Minute:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	}
	return d.String()
}

// load is a media node's calls, and of how many.
func load(v control.NodeView) string {
	switch {
	case v.Capacity > 0:
		return fmt.Sprintf("%d/%d", v.Calls, v.Capacity)
	case slices.Contains(v.Roles, "media"):
		return fmt.Sprint(v.Calls)
	}
	return "-"
}

func number(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func leads(b *control.BrokerView) string {
	if b == nil {
		return "-"
	}
	return cmp.Or(strings.Join(b.Leads, ","), "nothing")
}

// summary is one line about all nodes.
func summary(all []control.NodeView) string {
	states := map[string]int{}
	calls, capacity, partitions := 0, 0, 0
	for _, v := range all {
		states[v.State]++
		partitions += v.Partitions
		if v.State != envelope.NodeSilent {
			calls, capacity = calls+v.Calls, capacity+v.Capacity
		}
	}
	var words []string
	for _, state := range slices.Sorted(maps.Keys(states)) {
		words = append(words, fmt.Sprintf("%d %s", states[state], state))
	}
	return fmt.Sprintf("nodes: %s; calls: %d of %d; partitions owned: %d of %d", strings.Join(words, ", "), calls, capacity, partitions, endpoint.Partitions)
}

// worries are what an operator should look at.
func worries(all []control.NodeView) (lines []string) {
	versions := map[string][]string{}
	owned, deciders := 0, 0
	for _, v := range all {
		if v.Reason != "" {
			lines = append(lines, fmt.Sprintf("%s is %s: %s", v.Node, v.State, v.Reason))
		}
		if v.Version != "" {
			versions[v.Version] = append(versions[v.Version], v.Node)
		}
		if slices.Contains(v.Roles, "actor") && v.State != envelope.NodeSilent {
			owned, deciders = owned+v.Partitions, deciders+1
		}
		lines = append(lines, brokerWorries(v)...)
	}
	if deciders > 0 && owned != endpoint.Partitions {
		lines = append(lines, fmt.Sprintf("%d of %d partitions are owned: they are being taken over, or nodes disagree", owned, endpoint.Partitions))
	}
	if len(versions) > 1 {
		var words []string
		for _, version := range slices.Sorted(maps.Keys(versions)) {
			words = append(words, version+" ("+strings.Join(versions[version], ", ")+")")
		}
		lines = append(lines, "versions differ: "+strings.Join(words, ", "))
	}
	return lines
}

func brokerWorries(v control.NodeView) (lines []string) {
	if v.Broker == nil {
		return nil
	}
	if v.Broker.Brokers < v.Broker.Of {
		lines = append(lines, fmt.Sprintf("%s sees %d of %d brokers", v.Node, v.Broker.Brokers, v.Broker.Of))
	}
	for _, what := range v.Broker.Behind {
		lines = append(lines, fmt.Sprintf("%s: replica of %s", v.Node, what))
	}
	return lines
}
