// Package config is what an operator may set: one struct per role, read once at
// start from a YAML file, the environment and flags, and handed on by value.
package config

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Config is everything an operator can set. Each field's tags hold its key in
// the YAML file, its default and what it does, with its unit. A number or a
// duration is at least 1, or above 0, unless min:"0" says that 0 has a meaning.
type Config struct {
	Node    Node    `koanf:"node" doc:"The process as a whole."`
	Log     Log     `koanf:"log" doc:"What the process writes to standard error."`
	NATS    NATS    `koanf:"nats" doc:"How nodes meet."`
	SIP     SIP     `koanf:"sip" doc:"How carriers reach an edge."`
	Actor   Actor   `koanf:"actor" doc:"How endpoint actors decide."`
	Media   Media   `koanf:"media" doc:"How calls are carried."`
	Control Control `koanf:"control" doc:"How operators reach the control service."`
	Hooks   Hooks   `koanf:"hooks" doc:"How webhooks hear of events."`
	HTTP    HTTP    `koanf:"http" doc:"The node's own web listeners: health, metrics, agents that dial in, the API."`
}

// Node is the process as a whole.
type Node struct {
	Name        string        `koanf:"name" default:"" doc:"Name of this node in the cluster, stable over restarts; empty: the host name."`
	Roles       []string      `koanf:"roles" default:"edge,actor,media,control,broker" doc:"Roles this process plays. broker is left out where nats.url names another NATS."`
	DataDir     string        `koanf:"data_dir" default:"./data" doc:"Directory for keys and JetStream."`
	ClusterKey  string        `koanf:"cluster_key_file" default:"" doc:"File with the 32-byte cluster key, hex; empty: cluster.key in data_dir, made at first start."`
	SpoolDir    string        `koanf:"spool_dir" default:"" doc:"Directory for events and records that wait for JetStream, encrypted; one process at a time; empty: spool in data_dir."`
	SpoolBytes  int64         `koanf:"spool_max_bytes" default:"268435456" doc:"Largest size of spool_dir, bytes, at least 1 MiB; the oldest events make room, records never do."`
	DrainPeriod time.Duration `koanf:"drain_period" default:"1h" doc:"Longest wait for calls to end after the first SIGTERM; the container's grace period must exceed it."`
}

// Log is what the process writes to standard error.
type Log struct {
	Level  string `koanf:"level" default:"info" doc:"Lowest level written: debug, info, warn, error."`
	Format string `koanf:"format" default:"json" doc:"json or text."`
}

// NATS is how nodes meet.
type NATS struct {
	URL         string        `koanf:"url" default:"" doc:"NATS servers to join, comma separated; empty: the broker of this process. A node moves to another of them within 5 s when its own dies or hangs."`
	Credentials string        `koanf:"credentials_file" default:"" doc:"NATS credentials file for url, in place of credentials made of the cluster key."`
	Auth        string        `koanf:"auth" default:"" doc:"Who may connect: roles (processes with a credential made of the cluster key, each with the permissions of its roles: docs/permissions.md) or none (anybody, everything); empty: none while all NATS addresses of this node are on loopback, roles otherwise."`
	Tenants     bool          `koanf:"tenants" default:"false" doc:"Whether tenants' programs get into NATS with their API keys: brokers ask control nodes about them (auth callout), so both need it. It needs auth roles."`
	TLSCert     string        `koanf:"tls_cert_file" default:"" doc:"PEM certificate of the embedded broker, for its client and route ports; empty: no TLS. patchbay tls makes them."`
	TLSKey      string        `koanf:"tls_key_file" default:"" doc:"PEM key of tls_cert_file."`
	TLSCA       string        `koanf:"tls_ca_file" default:"" doc:"PEM certificates that brokers' certificates are checked with: by nodes that join url, then over TLS alone, and by brokers of each other."`
	Listen      string        `koanf:"listen" default:"127.0.0.1:4222" doc:"Address of the embedded broker's client port."`
	Advertise   string        `koanf:"advertise" default:"" doc:"Host:port of listen that clients are told of; empty: the broker's own addresses."`
	ClusterName string        `koanf:"cluster_name" default:"patchbay" doc:"Name that the brokers of one cluster share."`
	Cluster     string        `koanf:"cluster_listen" default:"" doc:"Address of the embedded broker's route port, for the other brokers; empty: this broker is the only one."`
	ClusterAdv  string        `koanf:"cluster_advertise" default:"" doc:"Host:port of cluster_listen that other brokers are told of; empty: the broker's own addresses."`
	Routes      []string      `koanf:"routes" default:"" doc:"Route ports of all 3 or 5 brokers of the cluster, such as nats://broker1:6222; the broker's own may be among them or left out."`
	MaxStore    int64         `koanf:"max_store_bytes" default:"10737418240" doc:"Largest size of JetStream on disk, bytes."`
	SyncAlways  bool          `koanf:"sync_always" default:"true" doc:"Whether JetStream syncs each write to disk before it acknowledges."`
	StartWait   time.Duration `koanf:"start_wait" default:"30s" doc:"Longest wait for NATS and JetStream at start; in a cluster, for more than half of the brokers."`
	Replicas    int           `koanf:"replicas" min:"0" default:"0" doc:"Replicas of each bucket and stream: 1, 3 or 5; 0: as many as routes or url names brokers, at most 3. A stream that has more keeps them."`
	RecordsAge  time.Duration `koanf:"records_max_age" default:"720h" doc:"How long records of calls are kept."`
	RecordsMax  int64         `koanf:"records_max_bytes" default:"2147483648" doc:"Largest size of the stream of records, bytes; when it is full, new records wait in the spools until old ones have aged or this is raised."`
}

// Brokers is how many brokers the cluster has, as far as this node's settings
// say: 1, 3 or 5. Clusters have an odd number, so a list of 2 or 4 leaves one
// out: of routes, the broker's own.
func (n NATS) Brokers() int {
	switch {
	case n.URL != "":
		return min((1+strings.Count(n.URL, ","))|1, 5)
	case n.Cluster == "":
		return 1
	default:
		return len(n.Routes) | 1
	}
}

// ByRoles reports whether brokers ask for credentials, and nodes show them.
func (n NATS) ByRoles() bool {
	switch {
	case n.Auth != "":
		return n.Auth == "roles"
	case n.URL != "":
		return n.Credentials == "" && !loopback(strings.Split(n.URL, ","))
	}
	return !loopback([]string{n.Listen, n.Cluster})
}

// loopback reports whether only this machine reaches any of these addresses:
// host:port or URLs; empty ones are none.
func loopback(addresses []string) bool {
	for _, a := range addresses {
		if u, err := url.Parse(strings.TrimSpace(a)); err == nil && u.Host != "" {
			a = u.Host
		}
		host := a
		if h, _, err := net.SplitHostPort(a); err == nil {
			host = h
		}
		ip, err := netip.ParseAddr(host)
		if a != "" && host != "localhost" && (err != nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}

// Copies is how many replicas a bucket that this node makes has.
func (n NATS) Copies() int {
	if n.Replicas > 0 {
		return n.Replicas
	}
	return min(n.Brokers(), 3)
}

// SIP is how carriers reach an edge.
type SIP struct {
	UDP            string        `koanf:"udp" default:"0.0.0.0:5060" doc:"Address of the UDP listener; empty: none."`
	TCP            string        `koanf:"tcp" default:"0.0.0.0:5060" doc:"Address of the TCP listener; empty: none."`
	TLS            string        `koanf:"tls" default:"0.0.0.0:5061" doc:"Address of the TLS listener, open only where a certificate is set; the node says so at start. Empty: none."`
	WS             string        `koanf:"ws" default:"0.0.0.0:5066" doc:"Address of the WebSocket listener (RFC 7118), without TLS. Empty: none."`
	WSS            string        `koanf:"wss" default:"0.0.0.0:7443" doc:"Address of the WebSocket listener over TLS, open only where a certificate is set; the node says so at start. Empty: none."`
	TLSCertificate string        `koanf:"tls_certificate_file" default:"" doc:"PEM file with the certificate of sip.tls and sip.wss and the chain above it; read again when it changes and on SIGHUP. Empty: neither is served, and no certificate is made up."`
	TLSKey         string        `koanf:"tls_key_file" default:"" doc:"PEM file with the private key of sip.tls_certificate_file."`
	WSOrigins      []string      `koanf:"ws_origins" default:"" doc:"Origins of browser pages that may call over WebSocket, beside those of the listener's own host and port, like https://app.example.com; * for any: then any page that a browser in an allowlisted network opens may call."`
	Balancers      []string      `koanf:"balancers" default:"" doc:"Addresses and CIDR ranges of load balancers in front of TCP, TLS, WS and WSS: each of their connections must begin with a PROXY protocol header of version 2, and counts as its client's. Anybody else's header is no SIP."`
	DNSServers     []string      `koanf:"dns_servers" default:"" doc:"Name servers that are asked where SIP hosts are (RFC 3263), as address:port or address; at most four. Edges and media nodes ask. Empty: those of /etc/resolv.conf."`
	Advertise      string        `koanf:"advertise" default:"" doc:"Host, or host:port, in our Contact and Via, of calls that came by this edge, or were carried by this media node and came by an edge that has none; the port is that of UDP and TCP, the other listeners have their own. An address is for carriers of its family; those of the other hear the one that their message arrived at. Empty: the address the message arrived at."`
	BaseDomain     string        `koanf:"base_domain" default:"sip.localhost" doc:"Domain of bearer slugs; <account>.<base domain> is an account's."`
	AllowPrivate   bool          `koanf:"allow_private_trunks" default:"false" doc:"Whether calls that accounts place may go to loopback and private addresses: edges ask it of each address that they send such an INVITE to, control nodes of those written out. A node whose HTTP and NATS listen on loopback only may call loopback all the same."`
	UDPSockets     int           `koanf:"udp_sockets" default:"2" doc:"UDP sockets that share the listener's port."`
	UDPBuffer      int           `koanf:"udp_buffer_bytes" default:"4194304" doc:"Receive buffer asked for each UDP socket, bytes."`
	MaxConns       int           `koanf:"max_connections" default:"10000" doc:"Stream connections kept at once."`
	MaxConnsPerIP  int           `koanf:"max_connections_per_source" default:"200" doc:"Stream connections kept at once from one address."`
	FirstMessage   time.Duration `koanf:"first_message_timeout" default:"10s" doc:"Longest time for a stream connection to bring one whole message."`
	IdleTimeout    time.Duration `koanf:"idle_timeout" default:"10m" doc:"Longest silence on a stream connection."`
	WriteTimeout   time.Duration `koanf:"write_timeout" default:"5s" doc:"Longest wait for one write to a stream connection."`
	MaxPending     int           `koanf:"max_pending" default:"8192" doc:"INVITEs that may wait for their verdict at once; beyond it 503."`
	OwnerTimeout   time.Duration `koanf:"owner_timeout" default:"150ms" doc:"Wait for a partition's owner before any decider is asked."`
	T1             time.Duration `koanf:"t1" default:"500ms" doc:"RFC 3261 timer T1."`
	T2             time.Duration `koanf:"t2" default:"4s" doc:"RFC 3261 timer T2."`
	T4             time.Duration `koanf:"t4" default:"5s" doc:"RFC 3261 timer T4."`
	Reliable       bool          `koanf:"reliable_ringing" default:"false" doc:"Whether ringing is sent reliably (RFC 3262) to every carrier that supports it; to one that requires it, it always is."`
	SessionExpires time.Duration `koanf:"session_expires" default:"30m" min:"0" doc:"Session timer that calls are asked for (RFC 4028), 90s to 24h: a carrier that has gone is noticed within it. 0: none is asked for, and only what carriers ask for is kept."`
}

// Bounds of a session timer; the lower one is RFC 4028's (4).
const (
	MinSessionExpires = 90 * time.Second
	MaxSessionExpires = 24 * time.Hour
)

// MaxDNSServers is how many name servers may be set.
const MaxDNSServers = 4

// NameServers returns DNSServers as addresses; what is none is left out, for the
// check at start has named it.
func (s SIP) NameServers() []netip.AddrPort {
	var all []netip.AddrPort
	for _, text := range s.DNSServers {
		if a, ok := nameServer(text); ok {
			all = append(all, a)
		}
	}
	return all
}

// nameServer reads address:port, or an address, whose port is DNS's own.
func nameServer(text string) (netip.AddrPort, bool) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(a.Unmap(), 53), true
	}
	a, err := netip.ParseAddrPort(text)
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), err == nil && a.Port() != 0
}

// BalancerPrefixes returns Balancers as ranges; what is none is left out, for
// the check at start has named it.
func (s SIP) BalancerPrefixes() []netip.Prefix {
	var all []netip.Prefix
	for _, text := range s.Balancers {
		if p, ok := prefixOf(text); ok {
			all = append(all, p)
		}
	}
	return all
}

// prefixOf reads an address or a CIDR range.
func prefixOf(text string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), true
	}
	p, err := netip.ParsePrefix(text)
	return p, err == nil && p == p.Masked()
}

// Actor is how endpoint actors decide.
type Actor struct {
	Mailbox       int           `koanf:"mailbox" default:"1024" doc:"Messages that may wait in one partition's mailbox; beyond it 503."`
	Remembered    int           `koanf:"remembered" default:"4096" doc:"Decisions that one partition remembers for retransmissions, 32 s each."`
	CacheEntries  int           `koanf:"cache_entries" default:"100000" doc:"Endpoints, accounts and agents kept in memory."`
	StoreTimeout  time.Duration `koanf:"store_timeout" default:"100ms" doc:"Longest read of a cold endpoint."`
	IntakeTimeout time.Duration `koanf:"intake_timeout" default:"120ms" doc:"Wait for a media node to take a call before the next is asked."`
	NotFound      string        `koanf:"not_found_status" default:"404" doc:"SIP status of a call to an address that does not exist, or no longer, and of every refusal that must look the same: 404, upon which carriers try their next route, or 603, upon which most do not; drop: no answer at all, nor to a source that no allowlist names, against scanners."`
	DeadNodeHold  time.Duration `koanf:"dead_node_hold" default:"30s" doc:"How long a silent media node's calls still count against caps."`
	AllowPrivate  bool          `koanf:"allow_private_webhooks" default:"false" doc:"Whether owners' webhooks may point to loopback and private addresses. A node whose HTTP and NATS listen on loopback only may dial loopback all the same."`
}

// Media is how calls are carried.
type Media struct {
	RTPPorts       string        `koanf:"rtp_ports" default:"20000-29999" doc:"Ports for carriers' RTP, inclusive; even ports are used, RTCP on the next."`
	ICEPorts       string        `koanf:"ice_ports" default:"30000-39999" doc:"Ports towards agents, inclusive."`
	Bind           string        `koanf:"bind" default:"" doc:"Local address of RTP sockets; empty: the one that faces the carrier."`
	Advertise      string        `koanf:"advertise" default:"" doc:"Address in our SDP behind NAT; empty: the local address."`
	MaxCalls       int           `koanf:"max_calls" default:"2000" doc:"Calls this node carries at once; beyond it the next node is asked, then 503."`
	AgentTimeout   time.Duration `koanf:"agent_timeout" default:"20s" doc:"Longest wait for an agent to join; then 480."`
	MaxDuration    time.Duration `koanf:"max_duration" default:"1h" doc:"Longest call, unless its agent says otherwise."`
	FirstRTP       time.Duration `koanf:"first_rtp_timeout" min:"0" default:"30s" doc:"Longest wait for a carrier's first RTP after the answer; 0: none."`
	RTPSilence     time.Duration `koanf:"rtp_silence_timeout" min:"0" default:"15s" doc:"Longest silence of a carrier's RTP and RTCP; 0: none."`
	LatchWindow    time.Duration `koanf:"latch_window" min:"0" default:"5s" doc:"How long after its first plausible packet a carrier may send from another port than its SDP names."`
	LatchMode      string        `koanf:"latch_mode" default:"sdp" doc:"Which sources may be latched to: sdp (the SDP's address, any port), nat (also the SIP source's address), off."`
	PortQuarantine time.Duration `koanf:"port_quarantine" min:"0" default:"10s" doc:"How long a used port rests."`
	SRTPTap        bool          `koanf:"srtp_tap" default:"true" doc:"Whether agents' packets bypass the WebRTC library's queues; false: its Track API."`
	AllowPrivate   bool          `koanf:"allow_private_agents" default:"false" doc:"Whether agents' URLs may point to loopback and private addresses. A node whose HTTP and NATS listen on loopback only may dial loopback all the same."`
	Loops          int           `koanf:"loops" default:"32" doc:"Mailbox loops that share this node's call actors."`
	Mailbox        int           `koanf:"mailbox" default:"1024" doc:"Messages that may wait in one call loop; beyond it 503."`
}

// Control is how operators reach the control service.
type Control struct {
	RequestTimeout time.Duration `koanf:"request_timeout" default:"5s" doc:"Longest work on one control request."`
	MaxInFlight    int           `koanf:"max_in_flight" default:"256" doc:"Control requests worked on at once; beyond it they are refused as busy."`
	MaxEndpoints   int           `koanf:"max_endpoints" default:"100000" doc:"Endpoints one account may have."`
	MaxAgents      int           `koanf:"max_agents" default:"10000" doc:"Agents one account may have."`
}

// Hooks is how webhooks hear of events.
type Hooks struct {
	RetryFirst    time.Duration `koanf:"retry_first" default:"30s" doc:"Wait after the first try of a delivery failed; each further wait is twice as long."`
	Retries       int           `koanf:"retries" min:"0" default:"10" doc:"Tries after the first; then the delivery is given up. With the defaults the last comes 8.5 h after the first."`
	Timeout       time.Duration `koanf:"timeout" default:"10s" doc:"Longest wait for the whole reply to one try."`
	MaxConcurrent int           `koanf:"max_concurrent" default:"1024" doc:"Deliveries that one control node has under way at once."`
	MaxPerTarget  int           `koanf:"max_per_target" default:"32" doc:"Of these, to one webhook; one that failed last gets one at a time."`
	BreakFor      time.Duration `koanf:"break_for" default:"30s" doc:"How long a webhook is left alone after 5 failures in a row, before one delivery tries it."`
	MaxWaiting    int           `koanf:"max_waiting" default:"10000" doc:"Deliveries that may wait for one webhook; further ones are given up at once."`
	MaxBytes      int64         `koanf:"max_bytes" default:"1073741824" doc:"Largest size of the stream of what waits, bytes; when it is full, events wait where they are, for up to 72 h."`
	AllowHTTP     bool          `koanf:"allow_http" default:"false" doc:"Whether webhooks may be http://. A node whose HTTP and NATS listen on loopback only allows it all the same."`
	AllowPrivate  bool          `koanf:"allow_private" default:"false" doc:"Whether webhooks that hear of events may point to loopback and private addresses. A node whose HTTP and NATS listen on loopback only may dial loopback all the same."`
}

// HTTP is the node's own web listeners: health, metrics, agents that dial in, the
// API.
type HTTP struct {
	Listen        string   `koanf:"listen" default:"127.0.0.1:8080" doc:"Address of /livez, /readyz, /metrics, dial-in agents and the API, without TLS; empty: none. The API takes no keys there from other machines: see plain_keys."`
	TLS           string   `koanf:"tls_listen" default:"127.0.0.1:8443" doc:"Address of the API and dial-in agents over HTTPS, on nodes with the role control; empty: none."`
	TLSCert       string   `koanf:"tls_certificate_file" default:"" doc:"PEM file with the certificate of tls_listen and the chain above it; read again when it changes. Empty: one that the node makes for itself, with an authority of its own in https of data_dir."`
	TLSKey        string   `koanf:"tls_key_file" default:"" doc:"PEM file with the private key of tls_certificate_file."`
	Faces         []string `koanf:"faces" default:"" doc:"Which APIs are served: native, yappr, ultravox; empty: all."`
	Hosts         []string `koanf:"hosts" default:"" doc:"Names of hosts at which one API is served alone, like yappr=api.yappr.example.com. At every other name all are, each under its own paths."`
	PublicURL     string   `koanf:"public_url" default:"" doc:"Scheme and host by which clients reach the API, for links in replies, like https://api.example.com; empty: what each client used."`
	PlainKeys     bool     `koanf:"plain_keys" default:"false" doc:"Whether the API takes keys over listen from other machines; true only where a proxy in front of it, or the network, encrypts."`
	CORSOrigins   []string `koanf:"cors_origins" default:"" doc:"Origins of browser pages of other hosts that may dial in and use the API, like https://app.example.com; empty: none."`
	MaxConns      int      `koanf:"max_connections" default:"1024" doc:"HTTP connections kept at once, of each listener; further ones wait."`
	MaxConnsPerIP int      `koanf:"max_connections_per_source" default:"256" doc:"HTTP connections kept at once from one address that is not loopback, of each listener; further ones are closed."`
	Profiles      bool     `koanf:"profiles" default:"false" doc:"Whether /debug/pprof/ shows CPU and heap profiles to whoever reaches listen."`
}
