// Command patchbay runs a node of the cluster, in one role or several, and
// speaks to one: see patchbay help.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

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
	if err := root().Execute(); err != nil {
		if text := err.Error(); text != "" && !errors.Is(err, errSilent) {
			fmt.Fprintln(os.Stderr, "patchbay: "+text)
		}
		os.Exit(exitCode(err))
	}
}

// exitCode is that of a command that ended with an error.
func exitCode(err error) int {
	if errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitFailed
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
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { // cobra itself looks later, and its error is like any other
		if err := errors.Join(cmd.ValidateRequiredFlags(), cmd.ValidateFlagGroups()); err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		return nil
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	cmd.AddCommand(restoreCommand(), serveCommand(), healthCommand(), demoCommand(), callCommand(), configCommand(),
		keysCommand(), tlsCommand(), echoCommand(), ctlCommand(), explainCommand())
	cmd.InitDefaultCompletionCmd() // it would come too late to be looked at
	refuseUnknown(cmd)
	return cmd
}

// refuseUnknown makes a command, and all below it, refuse arguments that it does
// not have, and say how it is used; left alone, groups of commands would print
// their help and succeed.
func refuseUnknown(cmd *cobra.Command) {
	for _, below := range cmd.Commands() {
		refuseUnknown(below)
	}
	if cmd.HasSubCommands() && !cmd.Runnable() {
		cmd.Args = knownCommand
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		return
	}
	fits := cmd.Args
	if fits == nil {
		return
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := fits(cmd, args); err != nil {
			return fmt.Errorf("%w: %s: %w", errUsage, cmd.UseLine(), err)
		}
		return nil
	}
}

// knownCommand refuses the first argument of a group: its commands are elsewhere.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	hint := ""
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "; is " + strings.Join(near, " or ") + " meant?"
	}
	return fmt.Errorf("%w: unknown command %q for %q%s", errUsage, args[0], cmd.CommandPath(), hint)
}
