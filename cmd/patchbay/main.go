// Command patchbay runs a node of the cluster, in one role or several, and
// speaks to one: see patchbay help.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitFailed = 1 // the work failed
	exitUsage  = 2 // the command line or the configuration is wrong
)

// errUsage marks a mistake of whoever typed the command.
var errUsage = errors.New("usage")

func main() {
	understood := false
	cmd := root()
	cmd.PersistentPreRun = func(*cobra.Command, []string) { understood = true }
	if err := cmd.Execute(); err != nil {
		if text := err.Error(); text != "" && !errors.Is(err, errSilent) {
			fmt.Fprintln(os.Stderr, "patchbay: "+text)
		}
		if !understood || errors.Is(err, errUsage) {
			os.Exit(exitUsage)
		}
		os.Exit(exitFailed)
	}
}

// errSilent ends the program with exit code 1 when all has been said already.
var errSilent = errors.New("")

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "patchbay",
		Short: "Takes SIP calls and hands each one to an AI agent over WebRTC",
		Long: `Patchbay takes SIP calls from carriers and PBXs and hands each one to an AI agent over WebRTC.

  patchbay demo                 a node, an echo agent, and a first call to hear it work
  patchbay serve                a node
  patchbay ctl endpoint create  operate it
  patchbay explain sip:...      say what would become of a call, and why
  patchbay call sip:...         place a test call`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version(),
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	cmd.AddCommand(restoreCommand(), serveCommand(), healthCommand(), demoCommand(), callCommand(), configCommand(),
		keysCommand(), tlsCommand(), echoCommand(), ctlCommand(), explainCommand())
	refuseUnknown(cmd.Commands())
	return cmd
}

// refuseUnknown makes groups of commands refuse a command they do not have;
// left alone, all but the root would print their help and succeed.
func refuseUnknown(all []*cobra.Command) {
	for _, cmd := range all {
		if cmd.HasSubCommands() && !cmd.Runnable() {
			cmd.Args = cobra.NoArgs
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
		refuseUnknown(cmd.Commands())
	}
}
