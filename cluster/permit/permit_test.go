package permit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/cluster/broker"
	"patchbay/cluster/permit"
	"patchbay/cluster/tail"
	"patchbay/internal/keys"
)

const (
	patience = 30 * time.Second
	hexKey   = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
)

func clusterKey(t *testing.T) *keys.Cluster { return parsed(t, hexKey) }

// guarded runs a broker that asks for credentials.
func guarded(t *testing.T) *broker.Server { return guardedBy(t, clusterKey(t), false) }

// eachWay runs a test at a broker that decides alone about who comes, and at one
// that asks about whom it does not know.
func eachWay(t *testing.T, test func(t *testing.T, srv *broker.Server)) {
	for name, tenants := range map[string]bool{"alone": false, "asking": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, guardedBy(t, clusterKey(t), tenants))
		})
	}
}

func guardedBy(t *testing.T, c *keys.Cluster, tenants bool) *broker.Server {
	t.Helper()
	srv, err := broker.New(broker.Config{Name: "b1", Listen: "127.0.0.1:0", StoreDir: t.TempDir(), MaxStore: 1 << 30, StartWait: patience, Keys: c, Tenants: tenants},
		slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-srv.Ready():
	case err := <-done:
		done <- nil
		t.Fatal(err)
	}
	return srv
}

// A member is one principal's connection, and what the broker forbade it.
type member struct {
	*nats.Conn
	name string
	js   jetstream.JetStream
	mu   sync.Mutex
	no   map[string]bool // "publish" or "subscribe", and the subject
}

var violation = regexp.MustCompile(`(?i)permissions violation for (publish|subscription) to "([^"]+)"`)

func (m *member) hear(_ *nats.Conn, _ *nats.Subscription, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if found := violation.FindStringSubmatch(err.Error()); found != nil {
		act := "publish"
		if strings.EqualFold(found[1], "subscription") {
			act = "subscribe"
		}
		m.no[act+" "+found[2]] = true
	}
}

// join connects a principal as a process or a client of it would.
func join(t *testing.T, srv *broker.Server, p permit.Principal) *member {
	t.Helper()
	m := &member{name: p.String(), no: map[string]bool{}}
	opts := []nats.Option{nats.InProcessServer(srv), nats.CustomInboxPrefix(permit.Inbox(p)), nats.ErrorHandler(m.hear), nats.Timeout(patience)}
	if p.Name != "" {
		opts = append(opts, nats.UserInfo(p.String(), permit.Password(clusterKey(t), p)))
	} else {
		l, err := permit.LoginOf(clusterKey(t), p)
		if err != nil {
			t.Fatal(err)
		}
		opts = append(opts, nats.Nkey(l.Nkey, l.Sign))
	}
	nc, err := enter("", opts...)
	if err != nil {
		t.Fatalf("%s: %v", p, err)
	}
	t.Cleanup(nc.Close)
	m.Conn = nc
	if m.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(patience)); err != nil {
		t.Fatal(err)
	}
	return m
}

// enter connects who has a good credential: a busy machine may answer too late,
// or hear it too late.
func enter(url string, opts ...nats.Option) (nc *nats.Conn, err error) {
	for end := time.Now().Add(patience); ; {
		if nc, err = nats.Connect(url, opts...); err == nil || time.Now().After(end) {
			return nc, err
		}
	}
}

// allowed tries an act on each subject and returns those that the broker let
// pass.
func (m *member) allowed(t *testing.T, act string, subjects []string) map[string]bool {
	t.Helper()
	const canary = "nobody.may.this"
	m.mu.Lock()
	clear(m.no)
	m.mu.Unlock()
	for _, s := range append(slices.Clone(subjects), canary) {
		var err error
		if act == "publish" {
			err = m.Publish(s, nil)
		} else {
			_, err = m.SubscribeSync(s)
		}
		if err != nil {
			t.Fatalf("%s: %s %s: %v", m.name, act, s, err)
		}
	}
	if err := m.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); !m.forbidden(act, canary); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s may %s what nobody may", m.name, act)
		}
	}
	let := map[string]bool{}
	for _, s := range subjects {
		let[s] = !m.forbidden(act, s)
	}
	return let
}

func (m *member) forbidden(act, s string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.no[act+" "+s]
}

// principals are one of each column.
func principals() []permit.Principal {
	return []permit.Principal{
		permit.Process("edge"), permit.Process("actor"), permit.Process("media"), permit.Process("control"), permit.Process("broker"),
		{Roles: []permit.Role{permit.Operator}},
		{Roles: []permit.Role{permit.Tenant}, Name: "acme"}, {Roles: []permit.Role{permit.Worker}, Name: "a1"},
	}
}

// messages are the rows of docs/permissions.md, written down apart from the code:
// a subject, who publishes it, who hears it. What is not named may not.
var messages = []struct{ subject, publish, subscribe string }{
	{"pb.v1.invite.p.7", "edge", "actor"},
	{"pb.v1.invite.any", "edge", "actor"},
	{"pb.v1.verdict.p.7", "media", "actor"},
	{"pb.v1.verdict.any", "media", "actor"},
	{"pb.v1.transfer.any", "media", "control"},
	{"pb.v1.register.p.7", "edge", "actor"},
	{"pb.v1.register.any", "edge", "actor"},
	{"pb.v1.explain.p.7", "control", "actor"},
	{"pb.v1.explain.any", "control", "actor"},
	{"pb.v1.call.3.intake", "actor control media", "media"},
	{"pb.v1.call.3.sip", "edge", "media"},
	{"pb.v1.call.find.04hkaps9lf6uu", "edge control", "media"},
	{"pb.v1.call.3.cmd", "control media", "media"},
	{"pb.v1.edge.e1.send", "media actor", "edge"},
	{"pb.v1.edge.out.udp", "media", "edge"},
	{"pb.v1.edge.ack.17", "edge", "control"},
	{"pb.v1.beat.edge.n1", "edge", "edge actor media control"},
	{"pb.v1.beat.actor.n1", "actor", "edge actor media control"},
	{"pb.v1.beat.media.n1", "media", "edge actor media control"},
	{"pb.v1.beat.control.n1", "control", "edge actor media control"},
	{"pb.v1.sync.p.7", "control", "actor"},
	{"pb.v1.sync.any", "control", "actor"},
	{"pb.v1.node.do", "control", "edge actor media control broker"},
	{"pb.v1.agent.a1.offer", "media", "worker.a1"},
	{"pb.v1.agent.a1.w.w1.cancel", "media", "worker.a1"},
	{"pb.v1.agent.a1.hb", "worker.a1", "media"},
	{"pb.v1.agent.a2.offer", "media", ""}, // another agent's workers
	{"pb.v1.agent.a2.w.w1.cancel", "media", ""},
	{"pb.v1.agent.a2.hb", "", "media"},
	{"pb.v1.agent.a1.call.04hkaps9lf6uu.evt", "media", "worker.a1"},
	{"pb.v1.agent.a1.call.04hkaps9lf6uu.do", "worker.a1", "media"},
	{"pb.v1.agent.a2.call.04hkaps9lf6uu.evt", "media", ""},
	{"pb.v1.agent.a2.call.04hkaps9lf6uu.do", "", "media"},
	{"pb.v1.call.04hkaps9lf6uu.evt", "media", "worker.a1 control"},
	{"pb.v1.call.04hkaps9lf6uu.do", "worker.a1", "media"},
	{"pb.v1.ctl.acme.endpoint.create", "tenant.acme operator control", "control"},
	{"pb.v1.ctl.other.endpoint.create", "operator control", "control"},
	{"pb.v1.ctl.acme.endpoint.create.k1", "", "control"}, // for API keys
	{"pb.v1.auth.keys", "broker", "control"},
	{"$SYS.REQ.USER.AUTH", "", "broker control"},
	{"pb.v1.evt.3.acme.call.started", "actor media control", ""}, // heard from the stream
	{"pb.v1.rec.04hkaps9lf6uu", "media control", ""},
	{"pb.v1.recof.acme.04hkaps9lf6uu", "media control", ""},
	{"pb.v1.hook.due.3", "control", ""},
	{"$SRV.PING", "operator", "control"},
	{"$KV.endpoints.ep.7.k", "control", ""},
	{"$KV.endpoints.screen.7.k", "control", ""},
	{"$KV.cluster.m.n1", "actor media", ""},
	{"$KV.cluster.p.7", "actor media", ""},
	{"$KV.cluster.slot.3", "actor media", ""},
	{"$KV.calls.c.04hkaps9lf6uu", "media", ""},
	{"$KV.bindings.reg.7.k.c", "actor", ""},
	{"$KV.stats.s.7.k", "actor", ""},
	{"$JS.API.STREAM.DELETE.KV_endpoints", "", ""},
	{"$JS.API.STREAM.PURGE.KV_calls", "", ""},
	{"$JS.API.STREAM.MSG.DELETE.RECORDS", "", ""},
	{"$JS.API.STREAM.SNAPSHOT.KV_endpoints", "operator", ""},
	{"$JS.API.STREAM.LIST", "", ""},
	{"$JS.API.CONSUMER.NAMES.KV_endpoints", "", ""},
	{"$SYS.REQ.SERVER.PING", "", ""},
	{"pb.v1.>", "", ""},
	{">", "", ""},
	{"$KV.endpoints.>", "control", ""}, // as a literal; to hear it is nobody's
}

func TestEveryRoleTriesEverySubjectAndOnlyItsOwnSucceed(t *testing.T) {
	t.Parallel()
	eachWay(t, everyRoleTriesEverySubjectAndOnlyItsOwnSucceed)
}

func everyRoleTriesEverySubjectAndOnlyItsOwnSucceed(t *testing.T, srv *broker.Server) {
	var subjects []string
	for _, m := range messages {
		subjects = append(subjects, m.subject)
	}
	for _, p := range principals() {
		m := join(t, srv, p)
		published := m.allowed(t, "publish", subjects)
		heard := m.allowed(t, "subscribe", subjects)
		for _, row := range messages {
			if want := slices.Contains(strings.Fields(row.publish), p.String()); published[row.subject] != want {
				t.Errorf("%s publishes %s: %v, want %v", p, row.subject, published[row.subject], want)
			}
			if want := slices.Contains(strings.Fields(row.subscribe), p.String()); heard[row.subject] != want {
				t.Errorf("%s hears %s: %v, want %v", p, row.subject, heard[row.subject], want)
			}
		}
	}
}

func TestNobodyHearsAnothersAnswers(t *testing.T) {
	t.Parallel()
	eachWay(t, nobodyHearsAnothersAnswers)
}

func nobodyHearsAnothersAnswers(t *testing.T, srv *broker.Server) {
	all := append(principals(), permit.Process("edge", "actor"), permit.Process("actor", "media", "control"),
		permit.Principal{Roles: []permit.Role{permit.Tenant}, Name: "other"}, permit.Principal{Roles: []permit.Role{permit.Worker}, Name: "a2"})
	subjects := []string{"_INBOX.>", "_INBOX.*.*", "_INBOX.*.actor.>"}
	for _, p := range all {
		subjects = append(subjects, permit.Inbox(p)+".x.*")
	}
	for _, p := range all {
		heard := join(t, srv, p).allowed(t, "subscribe", subjects)
		for _, s := range subjects {
			if want := s == permit.Inbox(p)+".x.*"; heard[s] != want {
				t.Errorf("%s listens to %s: %v, want %v", p, s, heard[s], want)
			}
		}
	}
}

func TestAProcessWithSeveralRolesHasTheUnion(t *testing.T) {
	t.Parallel()
	srv := guarded(t)
	both := permit.Process("media", "edge", "broker")
	m := join(t, srv, both)
	var subjects []string
	for _, row := range messages {
		subjects = append(subjects, row.subject)
	}
	published, heard := m.allowed(t, "publish", subjects), m.allowed(t, "subscribe", subjects)
	of := func(names string) bool {
		return slices.ContainsFunc(strings.Fields(names), func(n string) bool { return n == "edge" || n == "media" || n == "broker" })
	}
	for _, row := range messages {
		if published[row.subject] != of(row.publish) || heard[row.subject] != of(row.subscribe) {
			t.Errorf("%s: publishes %v, hears %v", row.subject, published[row.subject], heard[row.subject])
		}
	}
}

// shelves are the buckets and streams of docs/permissions.md: who reads, and who
// writes.
var shelves = []struct{ stream, subject, write, read string }{
	{"KV_endpoints", "$KV.endpoints.ep.7.k", "control", "actor control"},
	{"KV_cluster", "$KV.cluster.m.n1", "actor media", "actor media control"},
	{"KV_calls", "$KV.calls.c.1", "media", "media"},
	{"KV_bindings", "$KV.bindings.reg.7.k.c", "actor", "actor media"},
	{"KV_stats", "$KV.stats.s.7.k", "actor", "actor control"},
	{"EVENTS", "pb.v1.evt.3.acme.call.started", "actor media control", "control"},
	{"RECORDS", "pb.v1.rec.1", "media control", "media control"},
	{"RECORD_INDEX", "pb.v1.recof.acme.1", "media control", "media control"},
	{"HOOKS", "pb.v1.hook.s.3.mark", "control", "control"},
	{"HOOK_LOG", "pb.v1.hooklog.acme.w1.dead", "control", "control"},
}

// fill makes every stream and puts a message into each.
func fill(t *testing.T, srv *broker.Server) {
	t.Helper()
	maker := join(t, srv, permit.Process("broker"))
	every := join(t, srv, permit.Process("actor", "media", "control"))
	for _, s := range shelves {
		subjects := s.subject
		if bucket, ok := strings.CutPrefix(s.stream, "KV_"); ok {
			subjects = "$KV." + bucket + ".>"
		}
		if _, err := maker.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: s.stream, Subjects: []string{subjects}, AllowDirect: true}); err != nil {
			t.Fatalf("%s: %v", s.stream, err)
		}
		if _, err := every.js.Publish(t.Context(), s.subject, []byte("secret")); err != nil {
			t.Fatalf("%s: %v", s.stream, err)
		}
	}
	for _, key := range []string{"$KV.endpoints.screen.7.k", "$KV.endpoints.block.cb007100-28", "$KV.endpoints.acct.acme"} {
		if _, err := every.js.Publish(t.Context(), key, []byte("of "+key)); err != nil {
			t.Fatal(err)
		}
	}
}

// reads reports whether a member gets the message of a stream in any of the
// ways that JetStream has.
func (m *member) reads(t *testing.T, stream, subject string) (ways []string) {
	body := fmt.Sprintf(`{"last_by_subj":%q}`, subject)
	for way, req := range map[string][2]string{
		"direct":      {"$JS.API.DIRECT.GET." + stream + "." + subject, ""},
		"direct many": {"$JS.API.DIRECT.GET." + stream, body},
		"leader":      {"$JS.API.STREAM.MSG.GET." + stream, body},
	} {
		if !m.allowed(t, "publish", req[:1])[req[0]] {
			continue
		}
		r, err := m.Request(req[0], []byte(req[1]), patience)
		if err == nil && (r.Header.Get("Nats-Stream") != "" || strings.Contains(string(r.Data), `"message"`)) { // another's probe may have left it empty
			ways = append(ways, way)
		}
	}
	for way, filter := range map[string]string{"all": "", "filtered": subject} {
		if m.follows(t, stream, filter) {
			ways = append(ways, way)
		}
	}
	slices.Sort(ways)
	return ways
}

// follows reports whether a member can make a consumer and gets what it filters.
func (m *member) follows(t *testing.T, stream, filter string) (got bool) {
	create := "$JS.API.CONSUMER.CREATE." + stream + ".probe"
	if filter != "" {
		create += "." + filter
	}
	if !m.allowed(t, "publish", []string{create})[create] {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = tail.Follow(ctx, m.js, tail.Query{Stream: stream, Filter: filter}, func(uint64) {}, func(tail.Message) error {
		got = true
		cancel()
		return nil
	})
	return got
}

func TestEveryRoleTriesEveryBucketAndOnlyItsOwnSucceed(t *testing.T) {
	t.Parallel()
	srv := guarded(t)
	fill(t, srv)
	all := []string{"all", "direct", "direct many", "filtered", "leader"}
	for _, p := range principals() {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			m := join(t, srv, p)
			for _, s := range shelves {
				ways := m.reads(t, s.stream, s.subject)
				if want := slices.Contains(strings.Fields(s.read), p.String()); want && !slices.Equal(ways, all) || !want && ways != nil {
					t.Errorf("%s reads %s: %q, want all: %v", p, s.stream, ways, want)
				}
				wrote := m.allowed(t, "publish", []string{s.subject})[s.subject]
				if want := slices.Contains(strings.Fields(s.write), p.String()); wrote != want {
					t.Errorf("%s writes %s: %v, want %v", p, s.stream, wrote, want)
				} else if wrote {
					_, err := m.js.Publish(t.Context(), s.subject, []byte("changed"))
					if err != nil {
						t.Errorf("%s writes %s: %v", p, s.stream, err)
					}
				}
			}
		})
	}
}

func TestAnEdgeReadsTheScreenAndBlockedSourcesAndNothingElse(t *testing.T) {
	t.Parallel()
	srv := guarded(t)
	fill(t, srv)
	edge := join(t, srv, permit.Process("edge"))
	for filter, want := range map[string]bool{
		"$KV.endpoints.screen.>":   true,
		"$KV.endpoints.screen.7.k": true,
		"$KV.endpoints.block.*":    true,
		"$KV.endpoints.ep.>":       false,
		"$KV.endpoints.acct.*":     false,
		"$KV.endpoints.>":          false,
		"$KV.endpoints.*.7.k":      false,
		">":                        false,
		"":                         false,
	} {
		if got := edge.follows(t, "KV_endpoints", filter); got != want {
			t.Errorf("follows %q: %v, want %v", filter, got, want)
		}
	}
	// The broker knows the filter by the subject; what the request itself says
	// must be the same.
	for _, filters := range []string{`"filter_subject":"$KV.endpoints.>"`, `"filter_subjects":["$KV.endpoints.screen.>","$KV.endpoints.ep.>"]`, ``} {
		body := `{"stream_name":"KV_endpoints","config":{"name":"x","deliver_policy":"all","ack_policy":"none","mem_storage":true`
		if filters != "" {
			body += "," + filters
		}
		r, err := edge.Request("$JS.API.CONSUMER.CREATE.KV_endpoints.x.$KV.endpoints.screen.>", []byte(body+"}}"), patience)
		if err != nil {
			t.Fatal(err)
		}
		var reply struct {
			Error *jetstream.APIError `json:"error"`
		}
		if err := json.Unmarshal(r.Data, &reply); err != nil || reply.Error == nil {
			t.Errorf("a consumer of more than the screen: %s", r.Data)
		}
	}
}

func TestAStrangerIsNotLetIn(t *testing.T) {
	t.Parallel()
	srv := guarded(t)
	other, err := keys.ParseCluster([]byte(strings.Repeat("ab", 32)))
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := permit.LoginOf(other, permit.Process("edge"))
	if err != nil {
		t.Fatal(err)
	}
	edge, err := permit.LoginOf(clusterKey(t), permit.Process("edge"))
	if err != nil {
		t.Fatal(err)
	}
	acme := permit.Principal{Roles: []permit.Role{permit.Tenant}, Name: "acme"}
	for name, opt := range map[string]nats.Option{
		"nothing":                nats.Name("x"),
		"another cluster's key":  nats.Nkey(foreign.Nkey, foreign.Sign),
		"a wrong signature":      nats.Nkey(edge.Nkey, foreign.Sign),
		"a wrong password":       nats.UserInfo("tenant.acme", permit.Password(other, acme)),
		"another one's password": nats.UserInfo("tenant.other", permit.Password(clusterKey(t), acme)),
		"a role by password":     nats.UserInfo("edge", permit.Password(clusterKey(t), permit.Process("edge"))),
		"no tenant":              nats.UserInfo("tenant.", permit.Password(clusterKey(t), acme)),
		"a token":                nats.Token("x"),
	} {
		nc, err := nats.Connect(srv.ClientURL(), nats.Timeout(patience), opt)
		if err == nil {
			nc.Close()
			t.Errorf("%s: let in", name)
		}
	}
}

func TestAWorkerAnswersOffersAndAProcessAnswersItsAskers(t *testing.T) {
	t.Parallel()
	eachWay(t, aWorkerAnswersOffersAndAProcessAnswersItsAskers)
}

func aWorkerAnswersOffersAndAProcessAnswersItsAskers(t *testing.T, srv *broker.Server) {
	worker := join(t, srv, permit.Principal{Roles: []permit.Role{permit.Worker}, Name: "a1"})
	media := join(t, srv, permit.Process("media"))
	actor := join(t, srv, permit.Process("actor", "control"))
	edge := join(t, srv, permit.Process("edge"))
	tenant := join(t, srv, permit.Principal{Roles: []permit.Role{permit.Tenant}, Name: "acme"})
	for _, q := range []struct {
		asker, answerer *member
		subject         string
	}{
		{media, worker, "pb.v1.agent.a1.offer"},
		{worker, media, "pb.v1.call.04hkaps9lf6uu.do"},
		{edge, actor, "pb.v1.invite.any"},
		{edge, media, "pb.v1.call.3.sip"},
		{actor, media, "pb.v1.call.3.cmd"},
		{media, edge, "pb.v1.edge.e1.send"},
		{tenant, actor, "pb.v1.ctl.acme.endpoint.create"},
	} {
		sub, err := q.answerer.Subscribe(q.subject, func(m *nats.Msg) { _ = m.Respond([]byte("yes")) })
		if err != nil {
			t.Fatal(err)
		}
		if err := q.answerer.FlushTimeout(patience); err != nil {
			t.Fatal(err)
		}
		if r, err := q.asker.Request(q.subject, []byte("?"), patience); err != nil || string(r.Data) != "yes" {
			t.Errorf("%s asks %s on %s: %v", q.asker.name, q.answerer.name, q.subject, err)
		}
		if err := sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
	}
	if worker.allowed(t, "publish", []string{permit.Inbox(permit.Process("media")) + ".x"})[permit.Inbox(permit.Process("media"))+".x"] {
		t.Error("a worker answers what it was not asked")
	}
	mine, far := permit.Inbox(permit.Principal{Roles: []permit.Role{permit.Worker}, Name: "a1"})+".x", "$KV.endpoints.ep.7.k"
	if _, err := worker.SubscribeSync(mine); err != nil {
		t.Fatal(err)
	}
	if err := worker.PublishRequest(mine, far, nil); err != nil {
		t.Fatal(err)
	}
	if err := worker.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	if worker.allowed(t, "publish", []string{far})[far] {
		t.Error("a worker answers itself, in a bucket")
	}
}

func TestWhileTheKeyIsRotatedCredentialsOfBothAreTaken(t *testing.T) {
	t.Parallel()
	const next = "1:ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff"
	old, after := clusterKey(t), parsed(t, next)
	for name, tenants := range map[string]bool{"alone": false, "asking": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothAreTaken(t, guardedBy(t, parsed(t, next+"\n"+hexKey), tenants), old, after)
		})
	}
}

func bothAreTaken(t *testing.T, srv *broker.Server, old, after *keys.Cluster) {
	worker := permit.Principal{Roles: []permit.Role{permit.Worker}, Name: "a1"}
	for name, c := range map[string]*keys.Cluster{"the old": old, "the new": after} {
		l, err := permit.LoginOf(c, permit.Process("edge"))
		if err != nil {
			t.Fatal(err)
		}
		for kind, opt := range map[string]nats.Option{"process": nats.Nkey(l.Nkey, l.Sign), "worker": nats.UserInfo(worker.String(), permit.Password(c, worker))} {
			nc, err := enter(srv.ClientURL(), nats.Timeout(patience), opt)
			if err != nil {
				t.Errorf("%s of %s key: %v", kind, name, err)
				continue
			}
			nc.Close()
		}
	}
}

func parsed(t *testing.T, text string) *keys.Cluster {
	t.Helper()
	c, err := keys.ParseCluster([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
