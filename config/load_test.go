package config_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay/config"
)

func load(t *testing.T, s config.Sources) config.Config {
	t.Helper()
	cfg, err := config.Load(s)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// mistakes loads what must not load and returns what it was told, a line each.
func mistakes(t *testing.T, s config.Sources) []string {
	t.Helper()
	s.FileName = "patchbay.yaml"
	_, err := config.Load(s)
	var ms config.Mistakes
	if !errors.As(err, &ms) {
		t.Fatalf("got %v, want mistakes", err)
	}
	var lines []string
	for _, m := range ms {
		lines = append(lines, m.String())
	}
	return lines
}

func TestNothingGivenIsTheDefaults(t *testing.T) {
	t.Parallel()
	cfg := load(t, config.Sources{})
	if cfg.SIP.UDP != "0.0.0.0:5060" || cfg.SIP.OwnerTimeout != 150*time.Millisecond || cfg.NATS.MaxStore != 10<<30 ||
		!cfg.NATS.SyncAlways || !slices.Equal(cfg.Node.Roles, []string{"edge", "actor", "media", "control", "broker"}) {
		t.Errorf("got %+v", cfg)
	}
}

func TestFlagsGoOverTheEnvironmentOverTheFileOverTheDefaults(t *testing.T) {
	t.Parallel()
	cfg := load(t, config.Sources{
		File: []byte("sip:\n  udp: 10.0.0.1:1\n  tcp: 10.0.0.1:2\n  tls: \"\"\n  t1: 1s\nmedia:\n  max_calls: 7\n  srtp_tap: false\n" +
			"node:\n  roles: [edge, broker]\nlog:\n  # all commented out\nhttp: {}\n"),
		Environ: []string{"HOME=/", "PATCHBAY_CONFIG=x.yaml", "PATCHBAY_SIP_TCP=10.0.0.2:2", "PATCHBAY_SIP_WS=",
			"PATCHBAY_NODE_ROLES=edge, media,broker", "PATCHBAY_MEDIA_RTP_PORTS=100-200"},
		Flags: map[string]string{"sip.t1": "250ms", "node.roles": "broker,media"},
	})
	got := []any{cfg.SIP.UDP, cfg.SIP.TCP, cfg.SIP.TLS, cfg.SIP.WS, cfg.SIP.T1, cfg.SIP.T2, cfg.Media.MaxCalls, cfg.Media.SRTPTap, cfg.Node.Roles, cfg.Media.RTPPorts}
	want := []any{"10.0.0.1:1", "10.0.0.2:2", "", "", 250 * time.Millisecond, 4 * time.Second, 7, false, []string{"broker", "media"}, "100-200"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestDefaultRoundTrips(t *testing.T) {
	t.Parallel()
	plain := load(t, config.Sources{})
	written := load(t, config.Sources{File: config.Default()})
	if !reflect.DeepEqual(plain, written) {
		t.Errorf("the default file says\n%+v\nthe defaults are\n%+v", written, plain)
	}
	for _, s := range config.Settings() {
		if !strings.Contains(string(config.Default()), s.Doc) {
			t.Errorf("%s: not documented in the default file", s.Key)
		}
	}
}

func TestAllMistakesAreToldTogetherWithTheirKeyAndPlace(t *testing.T) {
	t.Parallel()
	got := mistakes(t, config.Sources{
		File: []byte("sip:\n  upd: 1.2.3.4:5060\n  t1: 500\n  t2: [4s]\nmedia: 5\nmedai:\n  bind: 1.2.3.4\nnats:\n  replicas: 2\n" +
			"control:\n  max_agents:\n  max_in_flight: -1\n"),
		Environ: []string{"PATCHBAY_SIP_UPD=x", "PATCHBAY_MEDIA_MAX_CALLS=many", "PATCHBAY_MEDIA_SRTP_TAP=maybe", "PATCHBAY_SIP_UDP_SOCKETS=0"},
		Flags:   map[string]string{"http.listen": "8080", "nonsense.and.more": "1"},
	})
	want := []string{
		"media (patchbay.yaml): a section, not a setting",
		"medai.bind (patchbay.yaml): unknown key; is media.bind meant?",
		"sip.upd (patchbay.yaml): unknown key; is sip.udp meant?",
		"PATCHBAY_SIP_UPD: unknown variable; is PATCHBAY_SIP_UDP meant?",
		"nonsense.and.more (flag): unknown key",
		`sip.udp_sockets (PATCHBAY_SIP_UDP_SOCKETS): 0 is too small: want more than 0`,
		`sip.t1 (patchbay.yaml): "500" is no duration: want a number with its unit, such as 150ms or 1h`,
		"sip.t2 (patchbay.yaml): want one value, not a list or a section",
		`media.max_calls (PATCHBAY_MEDIA_MAX_CALLS): "many" is no whole number`,
		`media.srtp_tap (PATCHBAY_MEDIA_SRTP_TAP): "maybe" is neither true nor false`,
		`control.max_in_flight (patchbay.yaml): -1 is below 0`,
		`control.max_agents (patchbay.yaml): no value; "" is the empty text`,
		"nats.replicas (patchbay.yaml): 2 is none of 0, 1, 3, 5",
		`http.listen (flag): "8080" is no address to listen at: want ip:port, such as 0.0.0.0:5060`,
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTheErrorListsEachMistakeOnALine(t *testing.T) {
	t.Parallel()
	_, err := config.Load(config.Sources{Flags: map[string]string{"log.level": "loud", "log.format": "xml"}})
	want := "configuration: 2 mistakes\n  log.level (flag): \"loud\" is none of debug, info, warn, error\n  log.format (flag): \"xml\" is none of json, text"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestSettingsThatDoNotFitTogether(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		flags map[string]string
		want  string // the only mistake, without its place; empty: none
	}{
		"unknown role":           {map[string]string{"node.roles": "edge,broker,brain"}, `node.roles: "brain" is none of broker, actor, media, control, edge`},
		"role twice":             {map[string]string{"node.roles": "edge,broker,edge"}, `node.roles: "edge" is there twice`},
		"no role":                {map[string]string{"node.roles": ""}, "node.roles: must not be empty"},
		"no NATS at all":         {map[string]string{"node.roles": "edge"}, "nats.url: must not be empty: node.roles has no broker"},
		"two NATS":               {map[string]string{"node.roles": "broker", "nats.url": "nats://a:4222"}, "nats.url: must be empty: node.roles has broker, and a node joins its own or another"},
		"another NATS":           {map[string]string{"nats.url": "nats://a:4222, tls://b:4222"}, ""},
		"NATS without scheme":    {map[string]string{"nats.url": "user:pass@a"}, "nats.url: not a list of NATS servers: want nats://host:port, comma separated"},
		"credentials for nobody": {map[string]string{"nats.credentials_file": "x.creds"}, "nats.credentials_file: is for nats.url, which is empty"},
		"broker without a port":  {map[string]string{"nats.listen": ""}, "nats.listen: must not be empty: node.roles has broker"},
		"replicas":               {map[string]string{"nats.replicas": "4"}, "nats.replicas: 4 is none of 0, 1, 3, 5"},
		"node name with a dot":   {map[string]string{"node.name": "a.b"}, `node.name: "a.b" is no node name: want letters, digits, - and _, at most 63`},
		"no data directory":      {map[string]string{"node.data_dir": ""}, "node.data_dir: must not be empty"},
		"edge that listens nowhere": {map[string]string{"sip.udp": "", "sip.tcp": "", "sip.ws": ""},
			"sip.udp: an edge needs an address to listen at: sip.udp, sip.tcp, sip.ws, or sip.tls or sip.wss with a certificate"},
		"edge of WebSocket alone": {map[string]string{"sip.udp": "", "sip.tcp": ""}, ""},
		"certificate, no key":     {map[string]string{"sip.tls_certificate_file": "a.pem"}, "sip.tls_key_file: goes together with sip.tls_certificate_file; one of the two is empty"},
		"origin with a path": {map[string]string{"sip.ws_origins": "*,https://a.example,https://a.example/x"},
			`sip.ws_origins: "https://a.example/x" is no origin: want scheme://host or scheme://host:port, such as https://app.example.com, or *`},
		"media needs no listener": {map[string]string{"sip.udp": "", "sip.tcp": "", "node.roles": "media,broker"}, ""},
		"listener by name":        {map[string]string{"sip.udp": "edge.example.net:5060"}, `sip.udp: "edge.example.net:5060" is no address to listen at: want ip:port, such as 0.0.0.0:5060`},
		"listener on localhost":   {map[string]string{"sip.udp": "localhost:0", "sip.tcp": ":5070", "http.listen": "[::1]:8080"}, ""},
		"two TCP listeners":       {map[string]string{"sip.tls": "127.0.0.1:5060"}, "sip.tls: 127.0.0.1:5060 is taken by sip.tcp, 0.0.0.0:5060"},
		"HTTP where NATS is":      {map[string]string{"http.listen": ":4222"}, "nats.listen: 127.0.0.1:4222 is taken by http.listen, 0.0.0.0:4222"},
		"any free port, twice":    {map[string]string{"sip.tcp": "127.0.0.1:0", "http.listen": "127.0.0.1:0"}, ""},
		"two addresses, one port": {map[string]string{"sip.tcp": "10.0.0.1:5060", "sip.tls": "10.0.0.2:5060"}, ""},
		"two web listeners":       {map[string]string{"http.tls_listen": "127.0.0.1:8080"}, "http.tls_listen: 127.0.0.1:8080 is taken by http.listen, 127.0.0.1:8080"},
		"web certificate, no key": {map[string]string{"http.tls_certificate_file": "a.pem"}, "http.tls_key_file: goes together with http.tls_certificate_file; one of the two is empty"},
		"a face that is not":      {map[string]string{"http.faces": "native,plivo"}, `http.faces: "plivo" is none of native, yappr, ultravox`},
		"a host of no face":       {map[string]string{"http.hosts": "plivo=api.example.com"}, `http.hosts: "plivo=api.example.com" is no face and host: want one such as yappr=api.yappr.example.com`},
		"a host twice":            {map[string]string{"http.hosts": "yappr=api.example.com,ultravox=API.example.com"}, "http.hosts: API.example.com is there twice"},
		"public URL with a path":  {map[string]string{"http.public_url": "https://a.example/x"}, `http.public_url: "https://a.example/x" is no scheme and host: want one such as https://api.example.com`},
		"public URL":              {map[string]string{"http.public_url": "https://a.example:8443/"}, ""},
		"base domain in capitals": {map[string]string{"sip.base_domain": "SIP.test"}, `sip.base_domain: "SIP.test" is no domain: want labels of a-z, 0-9 and -, with dots between`},
		"advertised nowhere":      {map[string]string{"sip.advertise": "0.0.0.0:5060"}, `sip.advertise: "0.0.0.0:5060" is neither a host nor host:port`},
		"advertised port 0":       {map[string]string{"sip.advertise": "sip.example.net:0"}, `sip.advertise: "sip.example.net:0" is neither a host nor host:port`},
		"advertised name":         {map[string]string{"sip.advertise": "SIP.example.net:5070"}, ""},
		"advertised IPv6":         {map[string]string{"sip.advertise": "[2001:db8::1]:5060"}, ""},
		"name servers":            {map[string]string{"sip.dns_servers": "192.0.2.53,[2001:db8::53]:5353"}, ""},
		"a name server by name":   {map[string]string{"sip.dns_servers": "192.0.2.53,ns.example:53"}, `sip.dns_servers: "ns.example:53" is neither an address nor address:port`},
		"five name servers":       {map[string]string{"sip.dns_servers": "192.0.2.1,192.0.2.2,192.0.2.3,192.0.2.4,192.0.2.5"}, `sip.dns_servers: 5 name servers, at most 4`},
		"T1 over T2":              {map[string]string{"sip.t1": "5s"}, "sip.t1: 5s is longer than sip.t2, 4s"},
		"per source over all":     {map[string]string{"sip.max_connections": "100"}, "sip.max_connections_per_source: 200 is more than sip.max_connections, 100"},
		"ports that are no range": {map[string]string{"media.rtp_ports": "20000"}, `media.rtp_ports: "20000" is no range of ports: want first-last, such as 20000-29999`},
		"ports the wrong way":     {map[string]string{"media.ice_ports": "400-300"}, `media.ice_ports: "400-300" is no range of ports: want first-last, such as 20000-29999`},
		"one port for RTP":        {map[string]string{"media.rtp_ports": "20000-20000"}, "media.rtp_ports: 20000-20000 holds no even port with the next one"},
		"odd and even for RTP":    {map[string]string{"media.rtp_ports": "20001-20002"}, "media.rtp_ports: 20001-20002 holds no even port with the next one"},
		"the last pair":           {map[string]string{"media.rtp_ports": "65534-65535"}, ""},
		"RTP and ICE overlap":     {map[string]string{"media.ice_ports": "29999-30000"}, "media.ice_ports: 29999-30000 overlaps media.rtp_ports, 20000-29999"},
		"SIP among RTP":           {map[string]string{"sip.udp": ":20002"}, "media.rtp_ports: 20000-29999 holds the port of sip.udp, 20002"},
		"SIP among ICE":           {map[string]string{"sip.udp": ":30002"}, "media.ice_ports: 30000-39999 holds the port of sip.udp, 30002"},
		"media behind a name":     {map[string]string{"media.advertise": "nat.example.net"}, `media.advertise: "nat.example.net" is no address of a host: want an IP address`},
		"latch mode":              {map[string]string{"media.latch_mode": "any"}, `media.latch_mode: "any" is none of sdp, nat, off`},
		"no such status":          {map[string]string{"actor.not_found_status": "410"}, `actor.not_found_status: "410" is none of 404, 603, drop`},
		"no wait for first RTP":   {map[string]string{"media.first_rtp_timeout": "0"}, ""},
		"no session timer":        {map[string]string{"sip.session_expires": "0s"}, ""},
		"short session timer":     {map[string]string{"sip.session_expires": "89s"}, "sip.session_expires: 1m29s is out of range: want 0, or 1m30s to 24h0m0s"},
		"no wait for agents":      {map[string]string{"media.agent_timeout": "0s"}, "media.agent_timeout: 0s is too small: want more than 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(config.Sources{Flags: c.flags})
			var ms config.Mistakes
			errors.As(err, &ms)
			var got []string
			for _, m := range ms {
				got = append(got, m.Key+": "+m.Why)
			}
			if s := strings.Join(got, "\n"); s != c.want {
				t.Errorf("got  %s\nwant %s", s, c.want)
			}
		})
	}
}

func TestAnotherNATSReplacesTheBroker(t *testing.T) {
	t.Parallel()
	cfg := load(t, config.Sources{Flags: map[string]string{"nats.url": "nats://n1:4222", "http.listen": "127.0.0.1:4222"}})
	if cfg.Node.Has("broker") || !cfg.Node.Has("edge") {
		t.Errorf("got roles %v", cfg.Node.Roles)
	}
}

func TestNoMistakeShowsThePasswordOfNATS(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"nats://user:hunter2@", "user:hunter2@host", "http://user:hunter2@host:4222"} {
		_, err := config.Load(config.Sources{Environ: []string{"PATCHBAY_NATS_URL=" + url}})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", url, err)
		}
	}
}

func TestVariablesOfKubernetesServicesAreNotOurs(t *testing.T) {
	t.Parallel()
	load(t, config.Sources{Environ: []string{
		"PATCHBAY_SERVICE_HOST=10.0.0.1", "PATCHBAY_SERVICE_PORT=5060", "PATCHBAY_SERVICE_PORT_SIP_UDP=5060", "PATCHBAY_PORT=udp://10.0.0.1:5060",
		"PATCHBAY_EDGE_PORT_5060_UDP=udp://10.0.0.1:5060", "PATCHBAY_EDGE_PORT_5060_UDP_ADDR=10.0.0.1",
	}})
	if got := mistakes(t, config.Sources{Environ: []string{"PATCHBAY_SIP_PORT=5060"}}); len(got) != 1 || !strings.HasPrefix(got[0], "PATCHBAY_SIP_PORT: unknown variable") {
		t.Errorf("got %q", got)
	}
}

func TestAFileThatIsNoYAMLIsOneMistake(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"broken":     "sip: [",
		"a list":     "- sip\n",
		"key twice":  "sip:\n  udp: :1\n  udp: :2\n",
		"too large":  strings.Repeat("#", config.MaxFile+1),
		"not a text": "\x00\x01",
	} {
		if got := mistakes(t, config.Sources{File: []byte(text)}); len(got) != 1 || !strings.HasPrefix(got[0], "patchbay.yaml: ") {
			t.Errorf("%s: got %q", name, got)
		}
	}
	load(t, config.Sources{File: []byte{}})
	load(t, config.Sources{File: []byte("# nothing\n")})
}

func TestWhatIsNotServedIsSaid(t *testing.T) {
	t.Parallel()
	if got := load(t, config.Sources{}).Unserved(); len(got) != 2 || !strings.Contains(got[0], "0.0.0.0:5061") || !strings.Contains(got[1], "0.0.0.0:7443") {
		t.Errorf("got %q", got)
	}
	for _, flags := range []map[string]string{
		{"sip.tls": "", "sip.wss": ""}, {"sip.tls_certificate_file": "a.pem", "sip.tls_key_file": "a.key"}, {"node.roles": "actor,media,control,broker"},
	} {
		if got := load(t, config.Sources{Flags: flags}).Unserved(); len(got) != 0 {
			t.Errorf("%v: got %q", flags, got)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte("sip:\n  udp: :1\n  t1: 1s\n"), "PATCHBAY_SIP_UDP=:1") // short: the fuzzer minimises what it finds
	f.Add([]byte("node: {roles: [edge, 5, null]}\n1: 2\nsip.udp: :1\n"), "PATCHBAY_=")
	f.Fuzz(func(t *testing.T, file []byte, env string) {
		cfg, err := config.Load(config.Sources{File: file, Environ: []string{env}})
		if err == nil && len(cfg.Node.Roles) == 0 {
			t.Errorf("a node without roles was accepted")
		}
	})
}
