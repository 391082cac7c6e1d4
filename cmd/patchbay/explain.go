package main

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster"
	"patchbay/control"
	"patchbay/sip/edge"
	"patchbay/sip/wire"
)

func newExplainer(g *ground) *cluster.Explainer { return cluster.NewExplainer(g.conn) }

// explained header fields stand for those that the request does not set.
func explainedHeaders(in control.ExplainRequest) map[string]string {
	fields := map[string]string{"from": "<sip:explain@invalid>;tag=explain", "to": "<" + in.URI + ">", "call-id": rand.Text(),
		"via": "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKexplain", "cseq": "1 INVITE", "max-forwards": "70", "content-length": "0"}
	for name, value := range in.Headers {
		lower := strings.ToLower(strings.TrimSpace(name))
		if lower == "from" && !strings.Contains(value, "tag=") {
			value += ";tag=explain"
		}
		fields[lower] = value
	}
	return fields
}

// readExplained makes the facts of a call that is to be explained. It is
// written as an INVITE and read as any edge reads one, so that both see the
// same.
func readExplained(baseDomain string) func(control.ExplainRequest) (endpoint.Invite, error) {
	return func(in control.ExplainRequest) (endpoint.Invite, error) {
		source, err := netip.ParseAddrPort(in.Source)
		if err != nil {
			addr, err := netip.ParseAddr(in.Source)
			if err != nil {
				return endpoint.Invite{}, endpoint.Problem{Field: "source", Code: endpoint.CodeInvalid, Message: "want ip or ip:port"}
			}
			source = netip.AddrPortFrom(addr, sipPort)
		}
		if _, err := wire.ParseURI(in.URI); err != nil {
			return endpoint.Invite{}, endpoint.Problem{Field: "uri", Code: endpoint.CodeInvalid, Message: "want a sip or sips URI"}
		}
		var b strings.Builder
		fmt.Fprintf(&b, "INVITE %s SIP/2.0\r\n", in.URI)
		for name, value := range explainedHeaders(in) {
			if strings.ContainsAny(name+value, "\r\n") || name == "" || strings.ContainsAny(name, " :") {
				return endpoint.Invite{}, endpoint.Problem{Field: "headers", Code: endpoint.CodeInvalid, Message: "want names and values of one line"}
			}
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
		m, fault := wire.Read([]byte(b.String()+"\r\n"), wire.DatagramLimits())
		if fault != nil {
			return endpoint.Invite{}, endpoint.Problem{Field: "headers", Code: endpoint.CodeInvalid,
				Message: fmt.Sprintf("an edge would answer %d: %s", fault.Status, fault.Word)}
		}
		transport := call.Transport(strings.ToLower(in.Transport))
		if transport == "" {
			transport = call.UDP
		}
		return edge.Facts(m, call.Flow{Transport: transport, Remote: netip.AddrPortFrom(source.Addr().Unmap(), source.Port())}, baseDomain), nil
	}
}

func explainCommand() *cobra.Command {
	r := &remote{}
	var in control.ExplainRequest
	var headers []string
	cmd := &cobra.Command{
		Use:   "explain <sip uri>",
		Short: "Say what would become of a call, and which rule decides",
		Long: `Explain runs the live decision dry: with the stored policy, the calls and rates of this moment, and the
same code. Nothing is reserved, nobody is told, and no webhook is asked.`,
		Example: `  patchbay explain sip:night-...@sip.example.com --from 203.0.113.7
  patchbay explain sip:sales@acme.sip.example.com --from 203.0.113.7 --header "To: <sip:sales@acme.sip.example.com>"`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.URI, in.Headers = args[0], map[string]string{}
			for _, h := range headers {
				name, value, ok := strings.Cut(h, ":")
				if !ok {
					return fmt.Errorf(`%w: --header %q: want "Name: value"`, errUsage, h)
				}
				in.Headers[name] = strings.TrimSpace(value)
			}
			return r.do(cmd, "call", "explain", in, showExplanation)
		},
	}
	r.register(cmd.Flags())
	f := cmd.Flags()
	f.StringVar(&in.Source, "from", "", "address that the INVITE comes from: ip or ip:port")
	f.StringVar(&in.Transport, "transport", "udp", "udp, tcp, tls, ws or wss")
	f.StringArrayVar(&headers, "header", nil, `header of the INVITE, as "Name: value"; may be repeated`)
	_ = cmd.MarkFlagRequired("from") // there is such a flag
	return cmd
}

var showExplanation = fields(func(v control.ExplanationView) [][2]string {
	rule := string(v.Rule)
	if v.Route > 0 {
		rule = fmt.Sprintf("%s %d", rule, v.Route)
	}
	rows := [][2]string{{"verdict", v.Action.String()}, {"rule", rule}}
	switch v.Action {
	case endpoint.Accept:
		rows = append(rows, [2]string{"agent", strings.TrimSpace(v.Agent + "  " + v.AgentName)})
	case endpoint.Consult:
		rows = append(rows, [2]string{"webhook", "would be asked; it was not"})
	case endpoint.Reject:
		rows = append(rows, [2]string{"status", fmt.Sprint(v.Status)}, [2]string{"reason", string(v.Reason)},
			[2]string{"carrier sees", strings.TrimSpace(fmt.Sprint(v.ShownStatus) + " " + v.ShownReason)})
	}
	rows = append(rows, [2]string{"endpoint", v.EndpointID}, [2]string{"key", string(v.Key)}, [2]string{"calls now", fmt.Sprint(v.Calls)},
		[2]string{"calls of the project", fmt.Sprint(v.ProjectCalls)})
	if v.RateSpent {
		rows = append(rows, [2]string{"rate", "spent for this second"})
	}
	if v.Deciders > 0 {
		rows = append(rows, [2]string{"owner", fmt.Sprintf("none at the moment: %d nodes decide, by cap_policy", v.Deciders)})
	}
	return append(rows, [2]string{"decision id", v.DecisionID})
})
