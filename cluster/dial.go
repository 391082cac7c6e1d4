package cluster

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/cluster/permit"
)

// Limits of a connection. A broker that hangs (it takes bytes and answers none)
// is left after pingsOut pings without an answer, one that takes no bytes after
// writeTimeout, and the next one is given dialTimeout: 5 s at the worst.
const (
	pingInterval    = time.Second
	pingsOut        = 2
	writeTimeout    = time.Second
	dialTimeout     = time.Second
	reconnectWait   = 100 * time.Millisecond // after every server was tried once
	reconnectJitter = 100 * time.Millisecond
	drainTimeout    = 2 * time.Second
)

// Options say which NATS a node joins.
type Options struct {
	Name        string                     // of the node, shown in the server's connection list
	URL         string                     // servers, comma separated; empty: Server
	Credentials string                     // credentials file for URL, in place of Login; empty: none
	Login       permit.Login               // of the roles of the process; the zero value: none is shown
	Inbox       string                     // what its inboxes begin with; empty: _INBOX
	TLS         *tls.Config                // for URL; nil: the servers are not asked for TLS
	Server      nats.InProcessConnProvider // the broker of this process, where URL is empty
	Clustered   bool                       // Server is one of several
	Blind       bool                       // the process may not ask JetStream: its health is NATS's alone
	Wait        time.Duration              // longest wait for NATS and JetStream at start
}

// several reports whether another broker serves when one dies.
func (o Options) several() bool { return o.Clustered || strings.Contains(o.URL, ",") }

func (o Options) dial(use string, log *slog.Logger) (*nats.Conn, error) {
	opts := []nats.Option{
		nats.Name(o.Name + " " + use),
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1), // a stale INVITE must not be sent later
		nats.Timeout(dialTimeout),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(pingsOut),
		nats.FlusherTimeout(writeTimeout),
		nats.ReconnectOnFlusherError(),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		nats.RetryOnFailedConnect(true),
		nats.IgnoreAuthErrorAbort(), // while keys are replaced, a broker may not know ours yet
		nats.DrainTimeout(drainTimeout),
	}
	opts = append(opts, reports(use, log)...)
	opts = append(opts, o.identity()...)
	if o.URL == "" {
		if o.Server == nil {
			return nil, errors.New("no url and no broker in this process (node.roles lacks broker)")
		}
		return nats.Connect("", append(opts, nats.InProcessServer(o.Server), nats.IgnoreDiscoveredServers())...)
	}
	if o.TLS != nil {
		opts = append(opts, nats.Secure(o.TLS))
	}
	if o.several() {
		// Other addresses of the same brokers are no use: one that hangs would be
		// tried twice, and a certificate need not name them.
		opts = append(opts, nats.IgnoreDiscoveredServers())
	}
	return nats.Connect(o.URL, opts...) // in an order of chance
}

// identity says who the process is, and where it takes answers.
func (o Options) identity() (opts []nats.Option) {
	switch {
	case o.Credentials != "":
		opts = append(opts, nats.UserCredentials(o.Credentials))
	case o.Login.Nkey != "":
		opts = append(opts, nats.Nkey(o.Login.Nkey, o.Login.Sign))
	}
	if o.Inbox != "" {
		opts = append(opts, nats.CustomInboxPrefix(o.Inbox))
	}
	return opts
}

// reports sends what becomes of a connection to the log.
func reports(use string, log *slog.Logger) []nats.Option {
	return []nats.Option{
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("nats connection lost", "use", use, "err", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("nats connected", "use", use, "server", nc.ConnectedServerName())
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			log.Warn("nats reported", "use", use, "subject", subject, "err", err)
		}),
	}
}
