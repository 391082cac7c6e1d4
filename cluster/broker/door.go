package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"patchbay/cluster/callout"
	"patchbay/cluster/permit"
)

// doorRetry is the wait between two tries to reach the process's own server.
const doorRetry = 100 * time.Millisecond

// delegate has the server know processes by their nkeys itself, and ask about
// everybody else (auth callout): a Doorkeeper beside it about credentials made of
// the cluster key, control nodes about API keys. A custom check would rule the
// question out.
func (g *guard) delegate(o *server.Options) error {
	ours, err := callout.KeysOf(g.keys)
	if err != nil {
		return err
	}
	o.AuthCallout = &server.AuthCallout{Issuer: ours[0].Issuer, XKey: ours[0].XKey, Account: server.DEFAULT_GLOBAL_ACCOUNT}
	o.AuthTimeout = authTimeout.Seconds()
	for key, u := range g.users {
		o.Nkeys = append(o.Nkeys, &server.NkeyUser{Nkey: key, Permissions: u.Permissions})
		o.AuthCallout.AuthUsers = append(o.AuthCallout.AuthUsers, key)
	}
	return nil
}

// watchDoor stands a Doorkeeper beside the server, if it asks who comes, until
// leave.
func (s *Server) watchDoor(ctx context.Context) (leave func(), err error) {
	if s.cfg.Keys == nil || !s.cfg.Tenants {
		return func() {}, nil
	}
	who := permit.Process(string(permit.Broker))
	login, err := permit.LoginOf(s.cfg.Keys, who)
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect("", nats.InProcessServer(s), nats.Name(s.cfg.Name+" door"), nats.Nkey(login.Nkey, login.Sign),
		nats.CustomInboxPrefix(permit.Inbox(who)), nats.MaxReconnects(-1),
		nats.ReconnectWait(doorRetry), nats.Timeout(writeDeadline), nats.IgnoreDiscoveredServers())
	if err != nil {
		return nil, fmt.Errorf("ask who clients are: %w", err)
	}
	door, err := callout.OpenDoor(nc, s.cfg.Keys, clients{s.nats}, s.log)
	if err != nil {
		nc.Close()
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		door.Run(ctx)
	}()
	return func() {
		stop()
		<-done
		nc.Close()
	}, nil
}

// clients are the connections of the server. It implements callout.Clients.
type clients struct{ *server.Server }

// Has implements callout.Clients.
func (c clients) Has(client uint64) bool { return c.GetClient(client) != nil }

// Kick implements callout.Clients.
func (c clients) Kick(client uint64) { _ = c.DisconnectClientByID(client) } // an error says that it is gone
