package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"patchbay/config"
	"patchbay/control"
)

// A bench is a node of every role inside the test, and its operator.
type bench struct {
	t    *testing.T
	cfg  config.Config
	node *node
	nc   *nats.Conn
}

func newBench(t *testing.T, set map[string]string) *bench {
	t.Helper()
	b := &bench{t: t, cfg: settings(t, set)}
	b.start()
	t.Cleanup(b.stop)
	return b
}

func (b *bench) start() {
	b.t.Helper()
	var err error
	if b.node, err = startNode(context.Background(), b.cfg, slog.New(slog.DiscardHandler)); err != nil {
		b.t.Fatal(err)
	}
	if b.nc, err = nats.Connect("nats://"+b.cfg.NATS.Listen, nats.Timeout(patience)); err != nil {
		b.t.Fatal(err)
	}
}

// stop ends the node. It may be called twice.
func (b *bench) stop() {
	if b.node == nil {
		return
	}
	b.nc.Close()
	if err := b.node.stop(); err != nil {
		b.t.Error(err)
	}
	b.node = nil
}

// ask does an operation and returns its code, "" for success, and its reply.
func (b *bench) ask(tenant, op, body string) (string, []byte) {
	b.t.Helper()
	m, err := b.nc.Request("pb.v1.ctl."+tenant+"."+op, []byte(body), 2*patience)
	if err != nil {
		b.t.Fatalf("%s: %v", op, err)
	}
	return m.Header.Get(micro.ErrorCodeHeader), m.Data
}

// must does an operation that succeeds.
func must[T any](b *bench, tenant, op, body string) T {
	b.t.Helper()
	code, raw := b.ask(tenant, op, body)
	var v T
	if code != "" {
		b.t.Fatalf("%s %s of %s: %s", op, body, tenant, raw)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		b.t.Fatal(err)
	}
	return v
}

// ctl runs the command line as its user would.
func (b *bench) ctl(args ...string) (out, errs string, err error) {
	cmd := root()
	var stdout, stderr bytes.Buffer
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SetArgs(append([]string{"ctl", "--nats", "nats://" + b.cfg.NATS.Listen, "--timeout", patience.String()}, args...))
	err = cmd.Execute()
	return stdout.String(), stderr.String(), err
}

func (b *bench) mustCtl(args ...string) string {
	b.t.Helper()
	out, errs, err := b.ctl(args...)
	if err != nil {
		b.t.Fatalf("ctl %v: %v\n%s", args, err, errs)
	}
	return out
}

// waiting asks for an agent's calls over HTTP and returns status and body.
func (b *bench) waiting(key, agent string) (int, string) {
	b.t.Helper()
	r, err := http.NewRequest("GET", "http://"+b.cfg.HTTP.Listen+"/v1/agents/"+agent+"/waiting", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// operations lists what the control service serves.
func (b *bench) operations() []string {
	b.t.Helper()
	m, err := b.nc.Request("$SRV.INFO.patchbay-control", nil, patience)
	if err != nil {
		b.t.Fatal(err)
	}
	var info micro.Info
	if err := json.Unmarshal(m.Data, &info); err != nil {
		b.t.Fatal(err)
	}
	var all []string
	for _, e := range info.Endpoints {
		all = append(all, strings.TrimPrefix(e.Subject, "pb.v1.ctl.*."))
	}
	slices.Sort(all)
	return all
}

const absentID = "00000000-0000-4000-8000-000000000000"

// An estate is one object of each kind.
type estate struct {
	tenant, agent, endpoint, key, project, number, call, record string
	application, registration, throttle, trunk, webhook         string
}

// build makes them in an account of its own.
func (b *bench) build(tenant string) estate {
	b.t.Helper()
	must[control.AccountView](b, "default", "account.create", `{"tenant":"`+tenant+`"}`)
	agent := must[control.AgentView](b, tenant, "agent.create", `{"spec":{"name":"theirs","webrtc":{"connector":"dialin"}}}`).ID
	ep := must[control.EndpointView](b, tenant, "endpoint.create", `{"agent_id":"`+agent+`"}`).ID
	return estate{tenant: tenant, agent: agent, endpoint: ep,
		key:         must[control.MadeKey](b, tenant, "key.create", `{"name":"theirs","scopes":["*"]}`).ID,
		project:     must[control.ProjectView](b, tenant, "project.create", `{"spec":{"name":"theirs"}}`).ID,
		number:      must[control.NumberView](b, tenant, "number.create", `{"number":"+4930123456","endpoint_id":"`+ep+`"}`).ID,
		application: must[control.ApplicationView](b, tenant, "application.create", `{"spec":{"name":"theirs","answer":{"url":"https://app.example.com/a"}}}`).ID,
		registration: must[control.RegistrationView](b, tenant, "registration.create",
			`{"spec":{"name":"theirs","server":"pbx.example.com","username":"7","password":"hush-hush"}}`).ID,
		throttle: must[control.ThrottleView](b, tenant, "throttle.create", `{"spec":{"name":"theirs","rules":[{"max_calls":1,"window_seconds":60}]}}`).ID,
		trunk:    must[control.TrunkView](b, tenant, "trunk.create", `{"spec":{"name":"theirs","addresses":[{"host":"sbc.example.net"}]}}`).ID,
		webhook:  must[control.WebhookView](b, tenant, "webhook.create", `{"spec":{"url":"https://hooks.example.com/theirs","events":["call.ended"]}}`).ID,
		call:     "04hkaps9lf6uu", record: "04hkaps9lf6uu"}
}

// probes are requests, by operation, that name objects of e: what somebody
// tries who knows their ids. An operation with none takes nobody's id.
func probes(e estate) map[string][]string {
	id := func(id string) string { return `{"id":"` + id + `"}` }
	patch := func(id string) string { return `{"id":"` + id + `","patch":{"name":"mine now"}}` }
	return map[string][]string{
		"account.get":     {`{"tenant":"` + e.tenant + `"}`},
		"account.update":  {`{"tenant":"` + e.tenant + `","patch":{"name":"mine now"}}`},
		"account.create":  {`{"tenant":"` + e.tenant + `"}`},
		"account.delete":  {`{"tenant":"` + e.tenant + `"}`},
		"account.list":    {`{}`},
		"agent.get":       {id(e.agent)},
		"agent.update":    {patch(e.agent)},
		"agent.workers":   {id(e.agent)},
		"agent.delete":    {id(e.agent), `{"id":"` + e.agent + `","revision":7}`},
		"endpoint.get":    {id(e.endpoint)},
		"endpoint.update": {patch(e.endpoint), `{"id":"` + e.endpoint + `","revision":7,"patch":{"is_active":false}}`},
		"endpoint.delete": {id(e.endpoint)},
		"endpoint.create": {`{"agent_id":"` + e.agent + `"}`, `{"project_id":"` + e.project + `"}`},
		"key.get":         {id(e.key)},
		"key.revoke":      {id(e.key)},
		"key.delete":      {id(e.key)},
		"key.create":      {`{"name":"n","scopes":["*"],"project_id":"` + e.project + `"}`},
		"project.get":     {id(e.project)},
		"project.update":  {patch(e.project)},
		"project.delete":  {id(e.project)},
		"project.create":  {`{"spec":{"name":"n","parent_id":"` + e.project + `"}}`},
		"number.get":      {id(e.number)},
		"number.delete":   {id(e.number)},
		"number.create":   {`{"number":"+4930999999","endpoint_id":"` + e.endpoint + `"}`},
		"call.get":        {id(e.call)},
		"call.hangup":     {id(e.call)},
		"call.transfer":   {`{"id":"` + e.call + `","to":"+15551234"}`, `{"id":"` + e.call + `","replaces":"0000000000001"}`},
		"call.find":       {`{"query":"12345","account":"` + e.tenant + `"}`},
		"call.hangup-all": {`{"endpoint_id":"` + e.endpoint + `"}`, `{"account":"` + e.tenant + `"}`},
		"account.import": {`{"lines":[{"kind":"endpoint","id":"` + absentID[:35] + `1","spec":{"handler":{"active":"agent","agent_id":"` + e.agent + `"}}}]}`,
			`{"lines":[{"kind":"endpoint","id":"` + absentID[:35] + `1","project_id":"` + e.project + `","spec":{}}]}`},
		"application.get":     {id(e.application)},
		"application.update":  {patch(e.application)},
		"application.delete":  {id(e.application)},
		"application.create":  {`{"project_id":"` + e.project + `","spec":{"name":"n","answer":{"url":"https://app.example.com/a"}}}`},
		"registration.get":    {id(e.registration)},
		"registration.update": {patch(e.registration)},
		"registration.delete": {id(e.registration)},
		"registration.create": {`{"project_id":"` + e.project + `","spec":{"name":"n","server":"pbx.example.com","username":"8","password":"hush-hush"}}`},
		"throttle.get":        {id(e.throttle)},
		"throttle.update":     {patch(e.throttle)},
		"throttle.delete":     {id(e.throttle)},
		"trunk.get":           {id(e.trunk)},
		"trunk.update":        {patch(e.trunk)},
		"trunk.delete":        {id(e.trunk)},
		"webhook.get":         {id(e.webhook)},
		"webhook.update":      {`{"id":"` + e.webhook + `","patch":{"url":"https://hooks.example.com/mine"}}`},
		"webhook.delete":      {id(e.webhook)},
		"webhook.rotate":      {id(e.webhook)},
		"webhook.deliveries":  {id(e.webhook)},
		"webhook.redeliver":   {`{"id":"` + e.webhook + `","delivery_id":"q7m3w2xq9dtz4hbnrs5vcy8fka"}`},
		"webhook.test":        {id(e.webhook)},
		"webhook.create":      {`{"spec":{"url":"https://hooks.example.com/mine","events":["call.ended"],"agent_id":"` + e.agent + `"}}`},
		"call.create":         {`{"agent_id":"` + e.agent + `","to":"sip:a@127.0.0.1"}`, `{"agent_id":"` + e.agent + `","to":"+15551230199","trunk":"` + e.trunk + `"}`},
		"block.create":        {`{"source":"203.0.113.7"}`},
		"block.delete":        {`{"source":"203.0.113.7"}`},
		"block.list":          {`{}`},
		"node.list":           {`{}`},
		"node.drain":          {`{"node":"test"}`},
		"record.get":          {id(e.record)},
	}
}

// noIDs take no object's name: what they answer is the asker's own.
var noIDs = []string{"agent.create", "application.list", "registration.list", "throttle.create", "throttle.list", "trunk.create", "trunk.list", "webhook.list", "agent.list", "endpoint.list", "key.list", "project.list", "number.list", "call.list", "call.explain", "record.list"}

func TestATenantTriesEveryOperationOnAnothersObjectsAndLearnsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	theirs := b.build("globex")
	must[control.AccountView](b, "default", "account.create", `{"tenant":"acme"}`)
	slug := must[control.EndpointView](b, "globex", "endpoint.get", `{"id":"`+theirs.endpoint+`"}`).Slug
	theirs.call = b.ring(slug, "+15551230100", "theirs@carrier").ID.String()
	absent := estate{tenant: "nobody", agent: absentID, endpoint: absentID, key: absentID, project: absentID, number: absentID,
		application: absentID, registration: absentID, throttle: absentID, trunk: absentID, webhook: absentID,
		call: "00000000000g0", record: "00000000000g0"}
	before := b.everythingOf("globex")

	there, nowhere := probes(theirs), probes(absent)
	for _, op := range b.operations() {
		if len(there[op]) == 0 && !slices.Contains(noIDs, op) {
			t.Errorf("%s is tried with nobody's id", op)
		}
		for i, body := range there[op] {
			code, foreign := b.ask("acme", op, body)
			unknown, missing := b.ask("acme", op, nowhere[op][i])
			if code == "" {
				t.Errorf("%s %s: succeeds: %s", op, body, foreign)
			}
			if code != unknown || !bytes.Equal(foreign, missing) {
				t.Errorf("%s: another's is %s, none is %s", op, foreign, missing)
			}
		}
	}
	for _, op := range noIDs {
		if code, raw := b.ask("acme", op, `{}`); code == "" && bytes.Contains(raw, []byte("theirs")) {
			t.Errorf("%s shows another's: %s", op, raw)
		}
	}
	if after := b.everythingOf("globex"); after != before {
		t.Errorf("another's objects have changed:\n got  %s\n want %s", after, before)
	}
	b.until("the other account's call is up", func() bool {
		return len(must[control.Page[control.CallView]](b, "globex", "call.list", `{}`).Items) == 1
	})
	mine := must[control.MadeKey](b, "acme", "key.create", `{"name":"mine","scopes":["*"]}`).Secret
	status, foreign := b.waiting(mine, theirs.agent)
	if unknown, missing := b.waiting(mine, absentID); status != unknown || foreign != missing {
		t.Errorf("calls of another's agent: %d %s, of none: %d %s", status, foreign, unknown, missing)
	}
}

// counted is what deciders count of an endpoint and write every 30 s.
var counted = regexp.MustCompile(`,"(?:totals":\{[^}]*\}|last_call_at":"[^"]*")`)

// everythingOf is all that an account has, as its lists show it, but for what
// was counted of its calls: that comes later.
func (b *bench) everythingOf(tenant string) string {
	b.t.Helper()
	var all strings.Builder
	for _, op := range []string{"account.get", "agent.list", "endpoint.list", "key.list", "project.list", "number.list",
		"application.list", "registration.list", "throttle.list", "trunk.list", "webhook.list"} {
		b.until(op+" is answered", func() bool { // a store that is slow says: try again
			code, raw := b.ask(tenant, op, `{}`)
			if code == string(control.CodeUnavailable) {
				return false
			}
			all.Write(raw)
			return true
		})
	}
	return counted.ReplaceAllString(all.String(), "")
}

// requestID differs from answer to answer.
var requestID = regexp.MustCompile(`"request_id":"[0-9a-f]+"`)

func TestKeysThatAreRevokedOrExpiredAreRefusedWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.build("globex")
	secret := func(body string) control.MadeKey { return must[control.MadeKey](b, "globex", "key.create", body) }
	other := secret(`{"name":"other","scopes":["agents:read"]}`)
	admin, err := os.ReadFile(filepath.Join(b.cfg.Node.DataDir, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		key  string
		want int
	}{"one without the scope": {other.Secret, 403},
		"the operator's": {strings.TrimSpace(string(admin)), 200}, "nobody's": {"pbk_nobody", 401}} {
		if got, body := b.waiting(tc.key, absentID); got != tc.want {
			t.Errorf("%s: %d %s, want %d", name, got, body, tc.want)
		}
	}
	expiring := func() (string, time.Time) {
		for life := 4 * time.Second; ; life *= 2 {
			end := time.Now().Add(life)
			code, raw := b.ask("globex", "key.create", `{"name":"short","scopes":["agents:answer"],"expires_at":"`+end.UTC().Format(time.RFC3339Nano)+`"}`)
			if code != "" && time.Now().After(end) {
				continue // a busy machine took longer
			}
			var key control.MadeKey
			if err := json.Unmarshal(raw, &key); err != nil || code != "" {
				t.Fatalf("%s, %v", raw, err)
			}
			return key.Secret, end
		}
	}
	revoked := func() (string, time.Time) {
		key := secret(`{"name":"long","scopes":["*"]}`)
		if got, body := b.waiting(key.Secret, absentID); got != 200 {
			t.Errorf("a new key: %d %s", got, body)
		}
		must[control.KeyView](b, "globex", "key.revoke", `{"id":"`+key.ID+`"}`)
		return key.Secret, time.Now()
	}
	for name, end := range map[string]func() (string, time.Time){"expired": expiring, "revoked": revoked} {
		took := time.Hour
		for range 5 { // a busy machine may be late now and then
			if took = b.goodFor(end()); took <= 2*time.Second {
				break
			}
		}
		if took > 2*time.Second {
			t.Errorf("a key that is %s is good for %v", name, took)
		}
	}
}

// goodFor waits until a key that has ended at a time is refused, as an unknown
// one is, and returns how long after that time it was still good.
func (b *bench) goodFor(key string, end time.Time) (took time.Duration) {
	b.t.Helper()
	for limit := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		asked := time.Now()
		got, body := b.waiting(key, absentID)
		if got == 401 {
			if time.Now().Before(end) {
				b.t.Errorf("refused before its end: %s", body)
			}
			if _, unknown := b.waiting("pbk_nobody", absentID); requestID.ReplaceAllString(body, "") != requestID.ReplaceAllString(unknown, "") {
				b.t.Errorf("told apart from an unknown key: %s, %s", body, unknown)
			}
			return took
		}
		if took = max(0, asked.Sub(end)); time.Now().After(limit) {
			b.t.Fatalf("still good: %d %s", got, body)
		}
	}
}

func TestFiftyCreatorsAtOnceGetTwentyEndpoints(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	must[control.AccountView](b, "default", "account.create", `{"tenant":"acme","spec":{"limits":{"endpoint_creates_per_day":20}}}`)
	var made, refused atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			switch code, raw := b.ask("acme", "endpoint.create", `{}`); code {
			case "":
				made.Add(1)
			case string(control.CodeLimit):
				refused.Add(1)
			default:
				t.Errorf("%s", raw)
			}
		})
	}
	wg.Wait()
	page := must[control.Page[control.EndpointView]](b, "acme", "endpoint.list", `{"limit":200}`)
	if made.Load() != 20 || refused.Load() != 30 || len(page.Items) != 20 {
		t.Errorf("%d made, %d refused, %d listed; want 20, 30, 20", made.Load(), refused.Load(), len(page.Items))
	}
}

// soon is how long is waited for what shall not come, or comes at another try.
const soon = 300 * time.Millisecond

// sipOptions sends one OPTIONS from an address of loopback and returns what comes
// back in time; "" if nothing does.
func sipOptions(t *testing.T, network, from string, to net.Addr, wait time.Duration) string {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}
	if network == "tcp" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	c, err := d.Dial(network, to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = fmt.Fprintf(c, "OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK1;rport\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:x@x>\r\n"+
		"Call-ID: %s-%d\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n", strings.ToUpper(network), c.LocalAddr(), from, time.Now().UnixNano())
	_ = c.SetReadDeadline(time.Now().Add(wait))
	buf := make([]byte, 2048)
	n, _ := c.Read(buf)
	line, _, _ := strings.Cut(string(buf[:n]), "\r\n")
	return line
}

// until waits for what an operator sees soon. A node whose JetStream is slow for
// a moment says 503 to OPTIONS, and one that is slow itself is listed as silent.
func (b *bench) until(what string, is func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("never: %s", what)
		}
	}
}

func TestABlockedSourceIsTurnedAwayByUDPAndTCP(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	addrs := b.node.edge.Addrs()
	answers := func(from string, wait time.Duration) (got []string) {
		return []string{sipOptions(t, "udp", from, net.UDPAddrFromAddrPort(addrs.UDP), wait), sipOptions(t, "tcp", from, net.TCPAddrFromAddrPort(addrs.TCP), wait)}
	}
	ok := []string{"SIP/2.0 200 OK", "SIP/2.0 200 OK"}
	b.until("a source is served before the block", func() bool { return slices.Equal(answers("127.0.0.2", patience), ok) })
	b.mustCtl("block", "127.0.0.2/31", "--reason", "scanner")
	b.until("the block holds", func() bool { return slices.Equal(answers("127.0.0.2", soon), []string{"", ""}) })
	b.until("a neighbour is served", func() bool { return slices.Equal(answers("127.0.0.1", patience), ok) })
	if list := b.mustCtl("block", "list"); !strings.Contains(list, "127.0.0.2/31") || !strings.Contains(list, "scanner") {
		t.Errorf("the list: %s", list)
	}
	b.mustCtl("unblock", "127.0.0.2/31")
	wait := soon
	b.until("the block is taken back", func() bool { wait += soon; return slices.Equal(answers("127.0.0.2", wait), ok) })
	if _, _, err := b.ctl("block", "0.0.0.0/0"); err == nil {
		t.Error("everybody was blocked")
	}
}

func TestAnOperatorDrainsANodeAndTakesItBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	udp := net.UDPAddrFromAddrPort(b.node.edge.Addrs().UDP)
	if got := b.mustCtl("drain"); !strings.Contains(got, "test draining") {
		t.Errorf("drain: %s", got)
	}
	if got := sipOptions(t, "udp", "127.0.0.1", udp, patience); !strings.HasPrefix(got, "SIP/2.0 503") {
		t.Errorf("OPTIONS while it drains: %q", got)
	}
	b.until("the list says so", func() bool { return strings.Contains(b.mustCtl("node", "list"), "draining") })
	if got := b.mustCtl("drain", "--node", "test", "--cancel"); !strings.Contains(got, "takes calls") {
		t.Errorf("cancel: %s", got)
	}
	b.until("OPTIONS are answered after it", func() bool { return strings.HasPrefix(sipOptions(t, "udp", "127.0.0.1", udp, patience), "SIP/2.0 200") })
	if _, _, err := b.ctl("drain", "--node", "nowhere"); err == nil {
		t.Error("a node that does not exist drains")
	}
}
