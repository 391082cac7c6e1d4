package config_test

import (
	"strings"
	"testing"

	"patchbay/config"
)

func TestABrokersPlaceInItsCluster(t *testing.T) {
	t.Parallel()
	routes := "nats://b1:6222,nats://b2:6222,nats://b3:6222"
	for name, c := range map[string]struct {
		flags map[string]string
		want  string // part of the only mistake; empty: none
	}{
		"three brokers":                {map[string]string{"nats.cluster_listen": ":6222", "nats.routes": routes}, ""},
		"three, without its own":       {map[string]string{"nats.cluster_listen": ":6222", "nats.routes": "nats://b1:6222,nats://b2:6222"}, ""},
		"one other":                    {map[string]string{"nats.cluster_listen": ":6222", "nats.routes": "nats://b1:6222"}, "nats.routes (flag): names 1 brokers: a cluster has 3 or 5"},
		"routes without a port":        {map[string]string{"nats.routes": routes}, "nats.routes (flag): needs nats.cluster_listen, which is empty"},
		"a password in a route":        {map[string]string{"nats.cluster_listen": ":6222", "nats.routes": routes + ",nats://u:hush@b4:6222"}, "nats.routes (flag): one is not nats://host:port"},
		"more replicas than brokers":   {map[string]string{"nats.cluster_listen": ":6222", "nats.routes": routes, "nats.replicas": "5"}, "nats.replicas (flag): 5 replicas need as many brokers; nats.routes makes 3"},
		"a name with a dot":            {map[string]string{"nats.cluster_listen": ":6222", "nats.routes": routes, "nats.cluster_name": "a.b"}, `nats.cluster_name (flag): "a.b" is no name`},
		"the client port again":        {map[string]string{"nats.cluster_listen": "127.0.0.1:4222", "nats.routes": routes}, "nats.cluster_listen (flag): 127.0.0.1:4222 is taken by nats.listen"},
		"advertised without a port":    {map[string]string{"nats.advertise": "broker-1"}, `nats.advertise (flag): "broker-1" is not host:port`},
		"advertised":                   {map[string]string{"nats.advertise": "broker-1:4222", "nats.cluster_advertise": "10.0.0.1:6222"}, ""},
		"certificate without key":      {map[string]string{"nats.tls_cert_file": "b.pem"}, "nats.tls_cert_file (flag): and nats.tls_key_file go together"},
		"routes that check nobody":     {map[string]string{"nats.cluster_listen": ":6222", "nats.routes": routes, "nats.tls_cert_file": "b.pem", "nats.tls_key_file": "b.key"}, "nats.tls_ca_file (default): must not be empty"},
		"credentials of another kind":  {map[string]string{"nats.url": "nats://a:1", "nats.credentials_file": "x", "nats.auth": "roles"}, "nats.auth (flag): roles and nats.credentials_file are two ways"},
		"an authentication of no kind": {map[string]string{"nats.auth": "some"}, `nats.auth (flag): "some" is none of roles, none`},
	} {
		_, err := config.Load(config.Sources{Flags: c.flags})
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "1 mistake\n")):
			t.Errorf("%s: %v; want %s", name, err, c.want)
		case err != nil && strings.Contains(err.Error(), "hush"):
			t.Errorf("%s: shows a password", name)
		}
	}
}

func TestStreamsHaveAsManyReplicasAsTheClusterAllows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		flags map[string]string
		want  int
	}{
		"one process":        {nil, 1},
		"three brokers":      {map[string]string{"nats.cluster_listen": ":6222", "nats.routes": "nats://b1:1,nats://b2:1,nats://b3:1"}, 3},
		"its own left out":   {map[string]string{"nats.cluster_listen": ":6222", "nats.routes": "nats://b1:1,nats://b2:1"}, 3},
		"five brokers":       {map[string]string{"nats.cluster_listen": ":6222", "nats.routes": "nats://b1:1,nats://b2:1,nats://b3:1,nats://b4:1,nats://b5:1"}, 3},
		"five, and as many":  {map[string]string{"nats.cluster_listen": ":6222", "nats.replicas": "5", "nats.routes": "nats://b1:1,nats://b2:1,nats://b3:1,nats://b4:1,nats://b5:1"}, 5},
		"a node of three":    {map[string]string{"nats.url": "nats://b1:1,nats://b2:1,nats://b3:1"}, 3},
		"a node of one":      {map[string]string{"nats.url": "nats://b1:1"}, 1},
		"a node that says 1": {map[string]string{"nats.url": "nats://b1:1,nats://b2:1,nats://b3:1", "nats.replicas": "1"}, 1},
	} {
		if got := load(t, config.Sources{Flags: c.flags}).NATS.Copies(); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
