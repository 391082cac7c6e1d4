package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"patchbay/internal/caller"
)

// callFlags are what a test call is told by flags.
type callFlags struct {
	options                    caller.Options
	via, local, wav, authority string
	edges                      []string
}

func callCommand() *cobra.Command {
	var c callFlags
	cmd := &cobra.Command{
		Use:   "call <sip uri>",
		Short: "Place a test call: send a tone, listen, and report what happened",
		Example: `  patchbay call sip:demo-...@127.0.0.1
  patchbay call 'sip:demo-...@127.0.0.1;transport=tcp' --codec G722 --talk 10s --wav heard.wav
  patchbay call 'sip:demo-...@sip.example.com;transport=tls' --ca cert.pem
  patchbay call 'sip:demo-...@127.0.0.1:5066;transport=ws'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := c.read(args[0])
			if err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			rep, err := placeCall(ctx, cmd.OutOrStdout(), o, c.wav)
			if err == nil && !rep.OK() {
				return errSilent
			}
			return err
		},
	}
	c.register(cmd.Flags())
	return cmd
}

func (c *callFlags) register(f *pflag.FlagSet) {
	o := &c.options
	f.DurationVar(&o.Talk, "talk", 3*time.Second, "how long to talk once answered")
	f.DurationVar(&o.Ring, "ring", 32*time.Second, "longest wait for an answer")
	f.StringSliceVar(&o.Codecs, "codec", nil, "codecs to offer, in this order: PCMU, PCMA, G722")
	f.StringArrayVar(&o.Headers, "header", nil, `further header of the INVITE, as "Name: value"; may be repeated`)
	f.StringVar(&o.From, "from", "", "user part of From")
	f.StringVar(&o.Digits, "digits", "", "DTMF to send after a second of talk: 0 to 9, *, #, A to D")
	f.StringVar(&c.via, "via", "", "send to this ip:port instead of the URI's host")
	f.StringSliceVar(&c.edges, "edge", nil, "ip:port of edges to send each message to in turn, instead of the URI's host")
	f.StringVar(&c.local, "local", "", "address to call from")
	f.StringVar(&c.authority, "ca", "", "PEM file with the certificate, or the authority, to believe over TLS; without it, whom this machine believes")
	f.StringVar(&c.wav, "wav", "", "save what was heard as a WAV file")
}

// read returns the options of a call to uri. The error is a mistake in the
// command line.
func (c *callFlags) read(uri string) (o caller.Options, err error) {
	o = c.options
	o.URI = uri
	if err := sensible(o); err != nil {
		return o, err
	}
	if o.Via, err = optional(c.via, netip.ParseAddrPort); err != nil {
		return o, fmt.Errorf("--via: %w", err)
	}
	if o.Local, err = optional(c.local, netip.ParseAddr); err != nil {
		return o, fmt.Errorf("--local: %w", err)
	}
	if o.Edges, err = addresses(c.edges); err != nil {
		return o, fmt.Errorf("--edge: %w", err)
	}
	if len(o.Edges) > 0 && !o.Via.IsValid() {
		o.Via = o.Edges[0] // the URI's host need not be known
	}
	if o.TLS, err = optional(c.authority, believing); err != nil {
		return o, fmt.Errorf("--ca: %w", err)
	}
	return o, nil
}

// sensible says what of the options no call could be placed with.
func sensible(o caller.Options) error {
	if err := caller.CheckURI(o.URI); err != nil {
		return err
	}
	for _, h := range o.Headers {
		if name, _, ok := strings.Cut(h, ":"); !ok || name == "" || strings.ContainsAny(name, " \t") || strings.ContainsAny(h, "\r\n") {
			return errors.New(`--header: want "Name: value"`)
		}
	}
	for _, name := range o.Codecs {
		if !slices.Contains([]string{"PCMU", "PCMA", "G722"}, name) {
			return fmt.Errorf("--codec %s: want PCMU, PCMA or G722", name)
		}
	}
	switch {
	case strings.Trim(o.Digits, "0123456789*#ABCD") != "":
		return errors.New("--digits: want 0 to 9, *, #, A to D")
	case o.Talk <= 0:
		return errors.New("--talk: want more than 0s")
	case o.Ring <= 0:
		return errors.New("--ring: want more than 0s")
	}
	return nil
}

func addresses(list []string) (all []netip.AddrPort, err error) {
	for _, text := range list {
		at, err := netip.ParseAddrPort(text)
		if err != nil {
			return nil, err
		}
		all = append(all, at)
	}
	return all, nil
}

func optional[T any](s string, parse func(string) (T, error)) (T, error) {
	if s == "" {
		var zero T
		return zero, nil
	}
	return parse(s)
}

// believing returns TLS settings that believe the certificates in a file.
func believing(file string) (*tls.Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no PEM certificate", file)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}

// placeCall calls, shows a status line while it lasts, and prints the report.
func placeCall(ctx context.Context, out io.Writer, o caller.Options, wav string) (caller.Report, error) {
	o.KeepHeard = wav != ""
	if _, err := os.Stat(filepath.Dir(wav)); wav != "" && err != nil { // now, and not after the call
		return caller.Report{}, fmt.Errorf("write %s: %w", wav, err)
	}
	status := newStatusLine(out)
	o.Progress = status.show
	rep, err := caller.Call(ctx, o)
	status.clear()
	if err != nil {
		return rep, err
	}
	printReport(out, rep)
	if o.Digits != "" && rep.Status/100 == 2 {
		fmt.Fprintf(out, "  digits            %d of %d sent\n", rep.DigitsSent, len(o.Digits))
	}
	if wav == "" || len(rep.Heard) == 0 {
		return rep, nil
	}
	if err := caller.WriteWAV(wav, rep.HeardRate, rep.Heard); err != nil {
		return rep, err
	}
	fmt.Fprintf(out, "  heard             %s (%.1f s)\n", wav, float64(len(rep.Heard))/float64(rep.HeardRate))
	return rep, nil
}

// A statusLine is one line that is written over while a call lasts.
type statusLine struct {
	out  io.Writer
	live bool // a terminal: the line can be written over
	last string
}

func newStatusLine(out io.Writer) *statusLine {
	f, ok := out.(*os.File)
	if !ok {
		return &statusLine{out: out}
	}
	st, err := f.Stat()
	return &statusLine{out: out, live: err == nil && st.Mode()&os.ModeCharDevice != 0}
}

func (s *statusLine) show(p caller.Progress) {
	text := fmt.Sprintf("  %5.1f s  %s", p.At.Seconds(), p.Step)
	if p.Step == "talking" {
		text += fmt.Sprintf("    %d packets out, %d in", p.Sent, p.Received)
		if p.Heard {
			text += ", tone heard"
		}
	}
	if s.live {
		fmt.Fprintf(s.out, "\r\x1b[K%s", text)
	} else if p.Step != s.last {
		fmt.Fprintln(s.out, text)
	}
	s.last = p.Step
}

func (s *statusLine) clear() {
	if s.live {
		fmt.Fprint(s.out, "\r\x1b[K")
	}
}

func printReport(out io.Writer, r caller.Report) {
	if r.Status/100 != 2 {
		fmt.Fprintf(out, "  refused           %d %s\n", r.Status, r.Phrase)
		if r.Reason != "" {
			fmt.Fprintf(out, "  reason            %s\n", r.Reason)
		}
		return
	}
	fmt.Fprintf(out, "  answered          %d %s, codec %s\n", r.Status, r.Phrase, r.Codec)
	fmt.Fprintf(out, "  INVITE to 200     %s\n", ms(r.Answered))
	fmt.Fprintf(out, "  first audio       %s after the INVITE\n", ms(r.FirstAudio))
	fmt.Fprintf(out, "  audio round trip  %s (tone in, tone out; %d bursts)\n", ms(r.RoundTrip), r.Bursts)
	fmt.Fprintf(out, "  packets           %d out, %d in, %d lost\n", r.Sent, r.Received, r.Lost)
	switch {
	case r.EndedByPeer:
		fmt.Fprintf(out, "  ended             by the other side %s\n", r.Reason)
	case r.Bursts == 0:
		fmt.Fprintln(out, "  no tone came back")
	}
	if !r.EndedByPeer && r.ByeStatus/100 != 2 {
		fmt.Fprintf(out, "  BYE               not taken, status %d\n", r.ByeStatus)
	}
}

func ms(d time.Duration) string {
	if d == 0 {
		return "never"
	}
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
