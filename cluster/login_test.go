package cluster_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"patchbay/cluster"
	"patchbay/cluster/broker"
	"patchbay/cluster/permit"
	"patchbay/internal/keys"
)

func TestANodeThatIsNotLetInSaysWhichSettingIsAtFault(t *testing.T) {
	t.Parallel()
	key := func(digit string) *keys.Cluster {
		c, err := keys.ParseCluster([]byte(strings.Repeat(digit, 64)))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for name, c := range map[string]struct {
		broker, node *keys.Cluster // nil: none
		want         string
	}{
		"an open broker":       {nil, key("a"), "nats.auth none"},
		"another cluster":      {key("b"), key("a"), "the cluster keys differ"},
		"a node without a key": {key("b"), nil, "nats.auth does"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, err := broker.New(broker.Config{Name: "b", Listen: "127.0.0.1:0", StoreDir: t.TempDir(), MaxStore: 1 << 30, StartWait: patience, Keys: c.broker},
				slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			run(t, srv)
			o := cluster.Options{Name: "n", URL: srv.ClientURL(), Wait: 5 * time.Second} // long enough to be refused at least once
			if c.node != nil {
				if o.Login, err = permit.LoginOf(c.node, permit.Process("actor")); err != nil {
					t.Fatal(err)
				}
			}
			conn, err := cluster.Connect(o, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := conn.Run(ctx); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
