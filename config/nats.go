package config

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

func (c *checker) nats() {
	n, broker := c.cfg.NATS, c.cfg.Node.Has("broker")
	c.natsURL(n, broker)
	if !slices.Contains([]int{0, 1, 3, 5}, n.Replicas) {
		c.mistake("nats.replicas", "%d is none of 0, 1, 3, 5", n.Replicas)
	}
	c.natsAccess(n)
	if broker && n.URL == "" {
		c.brokers(n)
	}
}

// natsURL checks where the node joins.
func (c *checker) natsURL(n NATS, broker bool) {
	switch {
	case n.URL == "" && !broker && !c.wrong["node.roles"]:
		c.mistake("nats.url", "must not be empty: node.roles has no broker")
	case n.URL == "" && n.Credentials != "":
		c.mistake("nats.credentials_file", "is for nats.url, which is empty")
	case n.URL != "" && broker && c.given["node.roles"].where != "default":
		c.mistake("nats.url", "must be empty: node.roles has broker, and a node joins its own or another")
	case n.URL != "" && !natsServers(n.URL):
		c.mistake("nats.url", "not a list of NATS servers: want nats://host:port, comma separated") // may hold a password: not shown
	}
}

// natsAccess checks who may connect, and how it is kept private.
func (c *checker) natsAccess(n NATS) {
	if n.Auth != "" {
		c.oneOf("nats.auth", n.Auth, "roles", "none")
	}
	if n.Auth == "roles" && n.Credentials != "" {
		c.mistake("nats.auth", "roles and nats.credentials_file are two ways to say who this node is: leave one out")
	}
	if n.Tenants && !n.ByRoles() {
		c.mistake("nats.tenants", "needs nats.auth roles: where nobody is asked who comes, API keys open nothing")
	}
	if (n.TLSCert == "") != (n.TLSKey == "") {
		c.mistake("nats.tls_cert_file", "and nats.tls_key_file go together")
	}
	if n.TLSCert != "" && n.Cluster != "" && n.TLSCA == "" {
		c.mistake("nats.tls_ca_file", "must not be empty: brokers check each other's nats.tls_cert_file with it")
	}
}

// brokerName is what a NATS cluster may be called.
var brokerName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// brokers checks what makes one broker a member of a cluster.
func (c *checker) brokers(n NATS) {
	c.told("nats.advertise", n.Advertise)
	c.told("nats.cluster_advertise", n.ClusterAdv)
	if n.Cluster == "" {
		if len(n.Routes) > 0 {
			c.mistake("nats.routes", "needs nats.cluster_listen, which is empty")
		}
		return
	}
	if !brokerName.MatchString(n.ClusterName) {
		c.mistake("nats.cluster_name", "%q is no name: want letters, digits, - and _, at most 64", n.ClusterName)
	}
	c.routes(n.Routes)
	if n.Replicas > n.Brokers() {
		c.mistake("nats.replicas", "%d replicas need as many brokers; nats.routes makes %d", n.Replicas, n.Brokers())
	}
}

// told reports what others cannot be told as an address.
func (c *checker) told(key, value string) {
	if value != "" && (!advertisable(value) || !strings.Contains(value, ":")) {
		c.mistake(key, "%q is not host:port", value)
	}
}

func (c *checker) routes(routes []string) {
	for _, route := range routes {
		if u, err := url.Parse(route); err != nil || u.Scheme != "nats" || u.Port() == "" || u.User != nil {
			c.mistake("nats.routes", "one is not nats://host:port") // may hold a password: not shown
		}
	}
	if len(routes) < 2 || len(routes) > 5 {
		c.mistake("nats.routes", "names %d brokers: a cluster has 3 or 5", len(routes))
	}
}
