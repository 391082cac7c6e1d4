package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"patchbay/config"
)

// settingFlags gives a command one flag for each setting: sip.udp becomes
// --sip-udp; the section node is left out, so that node.roles is --roles.
func settingFlags(f *pflag.FlagSet) {
	f.String("config", "", "configuration file ("+config.EnvFile+")")
	for _, s := range config.Settings() {
		f.Var(&settingValue{text: s.Default, kind: s.Type}, flagOf(s.Key), s.Doc)
	}
}

// A settingValue is a setting's flag: its text is read with all other settings.
type settingValue struct{ text, kind string }

func (v *settingValue) Set(text string) error { v.text = text; return nil }
func (v *settingValue) String() string        { return v.text }

// Type is shown in the help. A flag of type "bool" would be one that takes no
// value.
func (v *settingValue) Type() string {
	if v.kind == "bool" {
		return "true|false"
	}
	return v.kind
}

func flagOf(key string) string {
	return strings.NewReplacer(".", "-", "_", "-").Replace(strings.TrimPrefix(key, "node."))
}

// loadConfig reads file, environment and the flags that were given, in this
// order of strength.
func loadConfig(cmd *cobra.Command) (config.Config, error) {
	src := config.Sources{Environ: os.Environ(), Flags: map[string]string{}, FileName: os.Getenv(config.EnvFile)}
	for _, s := range config.Settings() {
		if f := cmd.Flags().Lookup(flagOf(s.Key)); f != nil && f.Changed {
			src.Flags[s.Key] = f.Value.String()
		}
	}
	if name, err := cmd.Flags().GetString("config"); err == nil && name != "" {
		src.FileName = name
	}
	if src.FileName != "" {
		body, err := readLimited(src.FileName, config.MaxFile)
		if err != nil {
			return config.Config{}, fmt.Errorf("%w: %w", errUsage, err)
		}
		src.File = body
	}
	cfg, err := config.Load(src)
	if err != nil {
		return cfg, fmt.Errorf("%w: %w", errUsage, err)
	}
	return cfg, nil
}

func readLimited(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, limit+1))
}

func configCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Look at the configuration"}
	check := &cobra.Command{Use: "check", Short: "Check file, environment and flags; report every mistake", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "the configuration is good; roles: %s\n", strings.Join(cfg.Node.Roles, ", "))
			for _, line := range cfg.Unserved() {
				fmt.Fprintln(cmd.OutOrStdout(), "note: "+line)
			}
			return nil
		}}
	settingFlags(check.Flags())
	def := &cobra.Command{Use: "default", Short: "Print a configuration file with every setting at its default", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(config.Default())
			return err
		}}
	cmd.AddCommand(check, def)
	return cmd
}
