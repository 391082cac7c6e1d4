package main

import (
	"github.com/spf13/cobra"

	"patchbay/control"
)

func (r *remote) numbers() *cobra.Command {
	var in control.NewNumber
	create := &cobra.Command{Use: "create <number>", Short: "Make a phone number lead to an endpoint", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Number = args[0]
			return r.do(cmd, "number", "create", in, showNumber)
		}}
	create.Flags().StringVar(&in.EndpointID, "endpoint", "", "id of the endpoint")
	create.Flags().StringVar(&in.Trunk, "trunk", "", "address or CIDR range of the carrier; empty: any")
	cmd := &cobra.Command{Use: "number", Aliases: []string{"numbers"}, Short: "Phone numbers and the endpoints that they lead to"}
	list := table("ID\tNUMBER\tTRUNK\tENDPOINT", func(v control.NumberView) []any {
		return []any{v.ID, v.Number, anyWord(v.Trunk), v.EndpointID}
	})
	cmd.AddCommand(create, r.get("number", showNumber), r.list("number", list), r.remove("number"))
	return cmd
}

var showNumber = fields(func(v control.NumberView) [][2]string {
	return [][2]string{{"id", v.ID}, {"number", v.Number}, {"trunk", anyWord(v.Trunk)}, {"endpoint", v.EndpointID}}
})

func anyWord(s string) string {
	if s == "" {
		return "any"
	}
	return s
}
