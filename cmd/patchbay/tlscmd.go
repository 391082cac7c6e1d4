package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"patchbay/internal/pki"
)

func tlsCommand() *cobra.Command {
	var dir string
	var renew bool
	cmd := &cobra.Command{
		Use:   "tls <host> ...",
		Short: "Make certificates, for a cluster's brokers and for SIP over TLS",
		Long: `Make certificates: an authority of its own (ca.pem, ca.key) where the directory has none yet, and a certificate with its key
for each host that is named (<host>.pem, <host>.key), good for two years. A host is a name or an address under which it is
reached; further ones follow it after commas, the file has the first one's name.

A broker takes <host>.pem, <host>.key and ca.pem (nats.tls_cert_file, nats.tls_key_file, nats.tls_ca_file), every other node
ca.pem alone. An edge takes <host>.pem and <host>.key (sip.tls_certificate_file, sip.tls_key_file). ca.key stays where it is: it
is needed to make more.`,
		Example: `  patchbay tls broker-1,10.0.0.11 broker-2,10.0.0.12 broker-3,10.0.0.13 --dir tls
  patchbay tls sip.example.com --dir tls`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				if first, _, _ := strings.Cut(arg, ","); !certificateName.MatchString(first) {
					return fmt.Errorf("%w: %q is no name and no address of a host", errUsage, first)
				}
			}
			authority, err := pki.OpenAuthority(dir, time.Now())
			if err != nil {
				return err
			}
			for _, arg := range args {
				names := strings.Split(arg, ",")
				if err := authority.Issue(names[0], names, time.Now(), renew); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: good for %s\n", filepath.Join(dir, names[0]+".pem"), strings.Join(names, ", "))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "tls", "directory of the authority and its certificates")
	cmd.Flags().BoolVar(&renew, "renew", false, "write over the certificates that are there; brokers and edges take the new ones without a restart")
	return cmd
}

// certificateName is a host name or an address, and so no path.
var certificateName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.:_-]{0,252}$`)
