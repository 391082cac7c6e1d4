package callout_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/cluster/callout"
	"patchbay/cluster/permit"
)

// program is one whose key is shown, and what it may: every subject that is not
// named is forbidden.
type program struct {
	user, secret string
	holder       permit.Holder
	publish      string
	hear         string
}

// programs are of two tenants. Their subjects are written down apart from the
// code.
var programs = []program{
	{"", "pbk_whole", permit.Holder{Tenant: "acme", Key: "k1", Whole: true},
		"pb.v1.ctl.acme.7.7 pb.v1.ctl.acme.7.7.k1", "pb.v1.evt.7.acme.x _INBOX_key.k1.x"},
	{"", "pbk_other", permit.Holder{Tenant: "globex", Key: "k2", Whole: true},
		"pb.v1.ctl.globex.7.7 pb.v1.ctl.globex.7.7.k2", "pb.v1.evt.7.globex.x _INBOX_key.k2.x"},
	{"k3", "pbk_narrow", permit.Holder{Tenant: "acme", Key: "k3", Operations: []string{"endpoint.list"}},
		"pb.v1.ctl.acme.endpoint.list.k3", "_INBOX_key.k3.x"},
	{"worker.a1", "pbk_worker", permit.Holder{Tenant: "acme", Key: "k4", Agent: "a1", Events: []string{"call"}},
		"pb.v1.agent.a1.hb pb.v1.agent.a1.call.7.do",
		"pb.v1.agent.a1.offer pb.v1.agent.a1.w.7.7 pb.v1.agent.a1.call.7.evt _INBOX_key.k4.x"},
	{"k5", "pbk_events", permit.Holder{Tenant: "acme", Key: "k5", Events: []string{"call"}}, "", "pb.v1.evt.7.acme.call.started _INBOX_key.k5.x"},
}

// probes are every subject of the table, for both tenants and their agents, and
// what the table does not have.
func probes() (all []string) {
	for _, row := range permit.Subjects {
		full := row.Subject
		if full[0] != '$' {
			full = "pb.v1." + full
		}
		for _, own := range []string{"acme", "globex", "a1", "a2"} {
			one := strings.ReplaceAll(full, "{own}", own)
			all = append(all, strings.ReplaceAll(strings.ReplaceAll(one, ">", "x"), "*", "7"), one)
			if strings.HasPrefix(one, "pb.v1.ctl.") {
				for _, key := range []string{"k1", "k2", "k3", "k4"} {
					all = append(all, "pb.v1.ctl."+own+".7.7."+key, "pb.v1.ctl."+own+".endpoint.list."+key, "pb.v1.ctl."+own+".endpoint.delete."+key)
				}
				all = append(all, "pb.v1.ctl."+own+".endpoint.list", "pb.v1.ctl."+own+".endpoint.delete")
			}
		}
	}
	for _, s := range permit.Stores {
		all = append(all, s.Subject, strings.ReplaceAll(strings.ReplaceAll(s.Subject, ">", "x"), "*", "7"),
			"$JS.API.DIRECT.GET."+s.Stream, "$JS.API.STREAM.MSG.GET."+s.Stream, "$JS.API.CONSUMER.CREATE."+s.Stream+".c")
	}
	for _, key := range []string{"k1", "k2", "k3", "k4", "k5", "*"} {
		all = append(all, "_INBOX_key."+key+".x")
	}
	all = append(all, "_INBOX.x", "_INBOX.>", "_INBOX_key.>", "_INBOX_tenant.acme.x", "_INBOX_worker.a1.x", ">", "pb.v1.>", "pb.v1.evt.>", "pb.v1.evt.7.acme.call.started",
		"pb.v1.evt.7.globex.call.started", "pb.v1.agent.*.call.*.evt", "$SYS.>", "$JS.API.>", "$JS.API.STREAM.NAMES", "$KV.>")
	slices.Sort(all)
	return slices.Compact(all)
}

// covers reports whether one of the patterns has the whole of a subject.
func covers(patterns, subject string) bool {
	return slices.ContainsFunc(strings.Fields(patterns), func(p string) bool { return p == subject })
}

// mayAlso are probes with wildcards, and other spellings, of what a program may.
var mayAlso = map[string]string{
	"publish pbk_whole":   "pb.v1.ctl.acme.*.* pb.v1.ctl.acme.endpoint.list pb.v1.ctl.acme.endpoint.delete pb.v1.ctl.acme.endpoint.list.k1 pb.v1.ctl.acme.endpoint.delete.k1",
	"publish pbk_other":   "pb.v1.ctl.globex.*.* pb.v1.ctl.globex.endpoint.list pb.v1.ctl.globex.endpoint.delete pb.v1.ctl.globex.endpoint.list.k2 pb.v1.ctl.globex.endpoint.delete.k2",
	"publish pbk_worker":  "pb.v1.agent.a1.call.*.do",
	"subscribe pbk_whole": "pb.v1.evt.*.acme.> pb.v1.evt.7.acme.call.started", "subscribe pbk_other": "pb.v1.evt.*.globex.> pb.v1.evt.7.globex.call.started",
	"subscribe pbk_worker": "pb.v1.agent.a1.w.*.* pb.v1.agent.a1.call.*.evt",
}

func (s *site) admitAll() {
	for _, p := range programs {
		s.judge.let(p.user, p.secret, callout.Pass{Name: "key." + p.holder.Key, May: permit.ForKey(p.holder)})
	}
}

func TestTenantsTryEverySubjectAndOnlyTheirOwnSucceed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admitAll()
	all := probes()
	for _, p := range programs {
		c := s.mustConnect(p.user, p.secret, p.holder.Key)
		for act, may := range map[string]string{"publish": p.publish, "subscribe": p.hear} {
			no := c.forbidden(t, act, all)
			may += " " + mayAlso[act+" "+p.secret]
			for _, at := range all {
				if want := !covers(may, at); no[at] != want {
					t.Errorf("%s %ss %s: forbidden %v, want %v", p.secret, act, at, no[at], want)
				}
			}
		}
	}
}

func TestAProgramAsksAndHearsItsAnswerAndNobodyElsesInbox(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admitAll()
	for _, at := range []string{"pb.v1.ctl.*.*.*", "pb.v1.ctl.*.*.*.*"} {
		if _, err := s.node.Subscribe(at, func(m *nats.Msg) { _ = m.Respond([]byte("done " + m.Subject)) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.node.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	for secret, subject := range map[string]string{"pbk_whole": "pb.v1.ctl.acme.endpoint.list", "pbk_narrow": "pb.v1.ctl.acme.endpoint.list.k3"} {
		p := programs[slices.IndexFunc(programs, func(p program) bool { return p.secret == secret })]
		c := s.mustConnect(p.user, secret, p.holder.Key)
		if m, err := c.Request(subject, nil, patience); err != nil || string(m.Data) != "done "+subject {
			t.Errorf("%s asks %s: %v", secret, subject, err)
		}
	}
}

func TestAWorkerWithAKeyIsOfferedCallsAndAnswersThem(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admitAll()
	worker, media := s.mustConnect("worker.a1", "pbk_worker", "k4"), s.process("media")
	if _, err := worker.QueueSubscribe("pb.v1.agent.a1.offer", "workers", func(m *nats.Msg) { _ = m.Respond([]byte("yes")) }); err != nil {
		t.Fatal(err)
	}
	if _, err := media.Subscribe("pb.v1.agent.*.call.*.do", func(m *nats.Msg) { _ = m.Respond([]byte("did")) }); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*nats.Conn{worker.Conn, media} {
		if err := c.FlushTimeout(patience); err != nil {
			t.Fatal(err)
		}
	}
	if m, err := media.Request("pb.v1.agent.a1.offer", nil, patience); err != nil || string(m.Data) != "yes" {
		t.Errorf("an offer: %v", err)
	}
	if m, err := worker.Request("pb.v1.agent.a1.call.7.do", nil, patience); err != nil || string(m.Data) != "did" {
		t.Errorf("a command: %v", err)
	}
}

// TestAWorkerAnswersNobodyButThoseWhoAskIt: NATS lets a worker answer whatever it
// hears, so it must hear nothing but what our nodes ask.
func TestAWorkerAnswersNobodyButThoseWhoAskIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admitAll()
	worker, k4 := s.mustConnect("worker.a1", "pbk_worker", "k4"), programs[3].holder
	k4.Agent = ""
	s.judge.let("", "pbk_worker", callout.Pass{Name: "key.k4", May: permit.ForKey(k4)})
	for _, at := range []string{"_INBOX_key.k4.>", "pb.v1.evt.*.acme.call.>"} {
		if _, err := worker.SubscribeSync(at); err != nil {
			t.Fatal(err)
		}
	}
	if err := worker.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	var far []string
	for _, q := range []struct {
		conn   *nats.Conn
		to, at string // what is sent, and where its answer is wanted
	}{
		{worker.Conn, "_INBOX_key.k4.x", "$KV.endpoints.acct.globex"},
		{s.mustConnect("", "pbk_worker", "k4").Conn, "_INBOX_key.k4.x", "pb.v1.ctl.globex.endpoint.delete"}, // the same key, of no worker
		{s.process("media"), "pb.v1.evt.7.acme.call.started", "_INBOX.-.-.media.-.ack"},                     // the stream answers there
	} {
		if err := q.conn.PublishRequest(q.to, q.at, nil); err != nil {
			t.Fatal(err)
		}
		if err := q.conn.FlushTimeout(patience); err != nil {
			t.Fatal(err)
		}
		far = append(far, q.at)
	}
	no := worker.forbidden(t, "publish", far)
	for _, at := range far {
		if !no[at] {
			t.Errorf("a worker answers at %s", at)
		}
	}
}

func TestConnectionsOfARevokedKeyAreClosedAndOthersStay(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admitAll()
	one, two, other := s.mustConnect("", "pbk_whole", "k1"), s.mustConnect("", "pbk_whole", "k1"), s.mustConnect("", "pbk_other", "k2")
	s.judge.revoke("pbk_whole")
	one.thrownOut(t)
	two.thrownOut(t)
	if c, err := s.connect("", "pbk_whole", "k1"); err == nil {
		c.Close()
		t.Error("a revoked key is let in")
	}
	if err := other.FlushTimeout(patience); err != nil {
		t.Errorf("another key's connection: %v", err)
	}
	if s.srv.Healthy() != nil || s.node.FlushTimeout(patience) != nil {
		t.Error("a node's connection is gone")
	}
}

func TestAConnectionEndsWhenItsKeyExpires(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for end := time.Now().Add(patience); ; { // on a busy machine the key may expire before it is looked at
		s.judge.let("", "pbk_short", callout.Pass{Name: "key.k5", May: permit.ForKey(permit.Holder{Tenant: "acme", Key: "k5"}), Until: time.Now().Add(2 * time.Second)})
		c, err := s.connect("", "pbk_short", "k5")
		if err == nil {
			c.thrownOut(t)
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not let in: %v", err)
		}
	}
}

func TestAStoreThatDoesNotAnswerEndsNoConnection(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admitAll()
	c := s.mustConnect("", "pbk_whole", "k1")
	s.judge.mu.Lock()
	s.judge.broken = true
	s.judge.mu.Unlock()
	if _, err := s.connect("", "pbk_other", "k2"); err == nil {
		t.Error("let in unseen")
	}
	select {
	case <-c.closed:
		t.Error("thrown out for no reason")
	case <-time.After(2500 * time.Millisecond): // twice what a look takes
	}
}

func TestWithoutAControlNodeProgramsWaitAndEverybodyElseDoesNot(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admitAll()
	before := s.mustConnect("", "pbk_whole", "k1")
	s.stop()
	for end := time.Now().Add(patience); ; { // on a busy machine the broker's first ping may come before its refusal
		_, err := s.connect("", "pbk_other", "k2")
		if err != nil && !errors.Is(err, nats.ErrAuthorization) && time.Now().Before(end) {
			continue
		}
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("without anybody to ask: %v", err)
		}
		break
	}
	s.process("edge")
	worker := permit.Principal{Roles: []permit.Role{permit.Worker}, Name: "a9"}
	s.enter(nats.UserInfo(worker.String(), permit.Password(s.keys, worker)))
	s.says("no control node answers")
	if err := before.FlushTimeout(patience); err != nil {
		t.Errorf("who was in before: %v", err)
	}
	s.answer()
	s.mustConnect("", "pbk_other", "k2")
	s.says("a control node answers")
	s.judge.revoke("pbk_whole") // the door still knows who came before
	before.thrownOut(t)
}

// says waits for a line of the log.
func (s *site) says(want string) {
	s.t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(s.log.String(), want); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("the log does not say %q:\n%s", want, s.log)
		}
	}
}

func TestAProgramWithARevokedKeyShutsNobodyElseOut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admitAll()
	refused := make(chan error)
	for range 40 {
		go func() {
			_, err := s.connect("worker.a1", "pbk_revoked", "x")
			refused <- err
		}()
	}
	for range 40 {
		if err := <-refused; err == nil {
			t.Error("a revoked key is let in")
		}
	}
	seen := s.judge.looks()
	if _, err := s.connect("", "pbk_whole", "k1"); s.judge.looks() == seen {
		t.Errorf("a good key of the same host is not looked at: %v", err)
	}
}

func TestWrongKeysAreSlowManyOfOneHostAreNotLookedUpAndNoneIsLogged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.admitAll()
	began := time.Now()
	if _, err := s.connect("", "pbk_wrong", "x"); err == nil || time.Since(began) < time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	refused := make(chan error)
	for n := range 40 {
		go func() {
			_, err := s.connect("worker.a1", fmt.Sprint("pbk_wrong", n), "x")
			refused <- err
		}()
	}
	for range 40 {
		if err := <-refused; err == nil {
			t.Error("a wrong key is let in")
		}
	}
	seen := s.judge.looks()
	if _, err := s.connect("", "pbk_whole", "k1"); err == nil || s.judge.looks() != seen {
		t.Errorf("a host of so many wrong keys is still looked up: %v", err)
	}
	if log := s.log.String(); strings.Contains(log, "pbk_") || strings.Count(log, "client was refused") > 20 {
		t.Errorf("the log:\n%s", log)
	}
	if _, err := s.connect("tenant.acme", strings.Repeat("0", permit.PasswordSize), "x"); err == nil {
		t.Error("a wrong password made of nothing is let in")
	}
}
