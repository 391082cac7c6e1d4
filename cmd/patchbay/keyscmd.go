package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"patchbay/internal/keys"
)

// clusterKeyFile is the name of the cluster key wherever it is installed.
const clusterKeyFile = "cluster.key"

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "The cluster's keys"}
	cmd.AddCommand(keysInstallCommand(), keysDeriveCommand(), keysNATSCommand())
	return cmd
}

func keysInstallCommand() *cobra.Command {
	var given, owner string
	var derived []string
	cmd := &cobra.Command{
		Use:   "install <directory>",
		Short: "Put the cluster key where the nodes of a cluster of containers mount it",
		Long: `Put the cluster key into a directory that the nodes of a cluster mount: the key that is given, or the one that is there
already, or a new one. A key file that holds nothing but lines that begin with # gives none. Installed keys are their owner's
alone to read (mode 0400), and are replaced by a key that is given.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			who, err := parseOwner(owner)
			if err != nil {
				return err
			}
			text, from, err := keyToInstall(given, args[0])
			if err != nil {
				return err
			}
			if err := keys.Install(args[0], clusterKeyFile, text, who); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "installed %s: %s\n", clusterKeyFile, from)
			return installDerived(text, derived, who)
		},
	}
	f := cmd.Flags()
	f.StringVar(&given, "given", "", "file with the cluster key to install")
	f.StringArrayVar(&derived, "derived", nil, "who=path: a key file that is derived from it, as of patchbay keys derive; may be repeated")
	f.StringVar(&owner, "owner", "", "user:group, as numbers, who may read what is installed; empty: who runs this")
	return cmd
}

// keyToInstall returns the text of the cluster key for a directory, and where
// it comes from.
func keyToInstall(given, dir string) (text, from string, err error) {
	if given != "" {
		if text, err = keys.Given(given); err != nil || text != "" {
			return text, "the key that was given", err
		}
	}
	text, made, err := keys.Kept(dir, clusterKeyFile)
	if made {
		return text, "a new key", err
	}
	return text, "the key of before", err
}

// parseOwner reads user:group.
func parseOwner(text string) (keys.Owner, error) {
	if text == "" {
		return keys.Owner{UID: os.Getuid(), GID: os.Getgid()}, nil
	}
	user, group, ok := strings.Cut(text, ":")
	uid, errUser := strconv.ParseUint(user, 10, 31)
	gid, errGroup := strconv.ParseUint(group, 10, 31)
	if !ok || errUser != nil || errGroup != nil {
		return keys.Owner{}, fmt.Errorf("%w: --owner %q: want user:group as numbers, such as 65532:65532", errUsage, text)
	}
	return keys.Owner{UID: int(uid), GID: int(gid)}, nil
}
