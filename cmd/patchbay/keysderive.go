package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"patchbay/cluster/callout"
	"patchbay/cluster/permit"
	"patchbay/config"
	"patchbay/internal/keys"
)

func keysDeriveCommand() *cobra.Command {
	var key, out string
	cmd := &cobra.Command{
		Use:   "derive <who>",
		Short: "Make a key file for one kind of node, a tenant's programs, or an agent's workers",
		Long: `Make a key file that holds what its bearer needs and nothing to make other keys of. Who is one of

  edge, actor, media, control    a node with that role, or with several: edge+media
  operator                       whoever runs patchbay ctl and is given no cluster key
  tenant.<account>               programs that use one account's control subjects
  worker.<agent id>              the workers of one agent

A node takes it in place of the cluster key (node.cluster_key_file), patchbay ctl and echo-agent with --key. Programs of others
show user and password, which the file names, and begin their inboxes as it says. Brokers need the cluster key itself.`,
		Example: "  patchbay keys derive edge --key cluster.key --out edge.key",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := keys.ReadCluster(key)
			if err != nil {
				return err
			}
			text, err := derivedFor(c, args[0])
			if err != nil {
				return err
			}
			return keys.WriteFile(out, text)
		},
	}
	cmd.Flags().StringVar(&key, "key", clusterKeyFile, "file with the cluster key")
	cmd.Flags().StringVar(&out, "out", "", "file to write (mode 0600), which must not exist")
	_ = cmd.MarkFlagRequired("out") // there is such a flag
	return cmd
}

// derivedFor is the text of the key file of who.
func derivedFor(c *keys.Cluster, who string) ([]byte, error) {
	if !c.Whole() {
		return nil, fmt.Errorf("%w: the file is derived itself: only the cluster key makes others", keys.ErrFormat)
	}
	p, err := principalOf(who)
	if err != nil {
		return nil, err
	}
	text := c.Extract(purposesOf(p)...)
	if p.Name != "" {
		text = fmt.Appendf(text, "# user %s\n# password %s\n# inbox %s\n", p, permit.Password(c, p), permit.Inbox(p))
	}
	return text, nil
}

// principalOf reads edge+media, operator, tenant.acme or worker.<id>.
func principalOf(who string) (permit.Principal, error) {
	if p, ok := permit.Named(who); ok {
		return p, nil
	}
	if who == string(permit.Operator) {
		return operator, nil
	}
	roles := strings.Split(who, "+")
	for _, r := range roles {
		if !slices.Contains(config.Roles, r) || r == string(permit.Broker) {
			return permit.Principal{}, fmt.Errorf("%w: %q: want edge, actor, media or control, joined by +; operator; tenant.<account>; worker.<agent id>", errUsage, who)
		}
	}
	return permit.Process(roles...), nil
}

// purposesOf are the keys that a principal needs. What an edge has opens no
// secret at rest (design D6).
func purposesOf(p permit.Principal) []keys.Purpose {
	var all []keys.Purpose
	if !p.Outside() {
		all = append(all, keys.Token, keys.Nonce)
		if p.String() != string(permit.Edge) {
			all = append(all, keys.Snapshot, keys.Storage)
		}
		if slices.Contains(p.Roles, permit.Control) {
			all = append(all, keys.Vouching, keys.Sealing)
		}
	}
	return append(all, keys.Login(p.String()))
}

// sufficient reports what a node with these roles lacks in its key file.
func sufficient(c *keys.Cluster, roles []string) error {
	if slices.Contains(roles, string(permit.Broker)) {
		if !c.Whole() {
			return fmt.Errorf("%w: a broker needs the cluster key, not a derived one: it knows every node's credential by it", keys.ErrFormat)
		}
		return nil
	}
	p := permit.Process(roles...)
	for _, need := range purposesOf(p) {
		if need != keys.Login(p.String()) && need != keys.Vouching && need != keys.Sealing && !c.Has(need) { // these are asked for where they are used
			return fmt.Errorf("%w: no key for %s: the file was derived for another role than %s", keys.ErrFormat, need, p)
		}
	}
	return nil
}

// installDerived puts derived key files where nodes mount them: each wish is
// who=path.
func installDerived(clusterKey string, wishes []string, owner keys.Owner) error {
	if len(wishes) == 0 {
		return nil
	}
	c, err := keys.ParseCluster([]byte(clusterKey))
	if err != nil {
		return err
	}
	for _, wish := range wishes {
		who, path, ok := strings.Cut(wish, "=")
		if !ok || path == "" {
			return fmt.Errorf("%w: --derived %q: want who=path", errUsage, wish)
		}
		text, err := derivedFor(c, who)
		if err != nil {
			return err
		}
		if err := keys.Install(filepath.Dir(path), filepath.Base(path), string(text), owner); err != nil {
			return err
		}
	}
	return nil
}

func keysNATSCommand() *cobra.Command {
	var key string
	var tenants bool
	cmd := &cobra.Command{
		Use:   "nats [who ...]",
		Short: "Print a configuration that makes a NATS server of your own know the cluster's nodes",
		Long: `Print a configuration for nats-server with a user for each kind of node, and for the operator, with the permissions of
docs/permissions.md. Name further ones: nodes with several roles (edge+media), tenants (tenant.acme), agents' workers (worker.<id>).
The nodes need nats.url and the cluster key, and no credentials file. It holds public keys and hashes of passwords only. With --tenants
the server asks control nodes (nats.tenants) about everybody else, so that API keys open it.`,
		Example: "  patchbay keys nats actor+control worker.0d9f > patchbay.conf   # nats-server.conf: include patchbay.conf",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := keys.ReadCluster(key)
			if err != nil {
				return err
			}
			if !c.Whole() {
				return fmt.Errorf("%s: %w: only the cluster key knows every credential", key, keys.ErrFormat)
			}
			all, err := principalsOf(append([]string{"edge", "actor", "media", "control", "operator"}, args...))
			if err != nil {
				return err
			}
			ask, err := asksOf(c, tenants)
			if err != nil {
				return err
			}
			text, err := permit.Config(c, all, ask)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
	cmd.Flags().StringVar(&key, "key", clusterKeyFile, "file with the cluster key")
	cmd.Flags().BoolVar(&tenants, "tenants", false, "let tenants' programs in with their API keys: control nodes are asked")
	return cmd
}

// principalsOf reads who is to be known, each once: a NATS server takes no user
// that is there twice.
func principalsOf(words []string) (all []permit.Principal, err error) {
	known := map[string]bool{}
	for _, who := range words {
		p, err := principalOf(who)
		if err != nil {
			return nil, err
		}
		if !known[p.String()] {
			all = append(all, p)
		}
		known[p.String()] = true
	}
	return all, nil
}

// asksOf says by which keys a NATS server asks control nodes; nil: it does not.
func asksOf(c *keys.Cluster, tenants bool) (*permit.Callout, error) {
	if !tenants {
		return nil, nil
	}
	all, err := callout.KeysOf(c)
	if err != nil {
		return nil, err
	}
	return &permit.Callout{Issuer: all[0].Issuer, XKey: all[0].XKey}, nil
}
