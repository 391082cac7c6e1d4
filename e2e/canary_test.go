package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/control"
	"patchbay/e2e/rig"
)

// A listener records what travels over NATS: every subject, and the payloads
// that leave the cluster's own hands.
type listener struct {
	mu       sync.Mutex
	subjects map[string]int
	payloads []string // of events and offers, each with its subject
}

func listen(t *testing.T, conn *nats.Conn) *listener {
	t.Helper()
	l := &listener{subjects: map[string]int{}}
	_, err := conn.Subscribe(">", func(m *nats.Msg) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.subjects[m.Subject]++
		if strings.HasPrefix(m.Subject, "pb.v1.evt.") || strings.HasSuffix(m.Subject, ".evt") || strings.HasPrefix(m.Subject, "pb.v1.agent.") {
			l.payloads = append(l.payloads, fmt.Sprintf("%s %v %s", m.Subject, m.Header, m.Data))
		}
	})
	if err != nil || conn.Flush() != nil {
		t.Fatalf("listen to NATS: %v", err)
	}
	return l
}

// count is how many subjects start with a prefix.
func (l *listener) count(prefix string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for s := range l.subjects {
		if strings.HasPrefix(s, prefix) {
			n++
		}
	}
	return n
}

// A canary is a secret that must stay where it was put. Symbols of a slug have
// no case, and a URI may escape them.
type canary struct {
	secret  string
	escaped string // as %XX
}

func newCanary(slug string) canary {
	c := canary{secret: slug[len(slug)-24:]}
	for _, symbol := range []byte(c.secret) {
		c.escaped += fmt.Sprintf("%%%02x", symbol)
	}
	return c
}

// absent fails the test if text holds the secret, and shows where.
func (c canary) absent(t *testing.T, where, text string) {
	t.Helper()
	lower := strings.ToLower(text)
	for _, form := range []string{c.secret, c.escaped} {
		if i := strings.Index(lower, form); i >= 0 {
			t.Errorf("the slug is in %s: ...%s...", where, text[max(0, i-200):min(len(text), i+len(form)+40)])
		}
	}
}

// TestASlugShowsNowhere leads one slug down every path, and then looks for it
// in the log at its lowest level, in metrics, subjects, events, offers, and in
// the names of everything that is stored.
func TestASlugShowsNowhere(t *testing.T) {
	t.Parallel()
	b := newBed(t, rig.Settings{"log.level": "debug", "sip.t1": "100ms"}) // a call whose carrier has gone ends after 64*T1
	heard := listen(t, b.Connect(t))
	b.op.Account(t, rig.Fields{"refusal": "explicit"}) // tells more than uniform
	agent := b.op.Agent(t, "dialin", nil)
	ep := b.endpoint(t, nil)
	secret := newCanary(ep.Slug)

	t.Run("accepted", func(t *testing.T) { acceptedWith(t, b, ep.Slug) })
	t.Run("cancelled", func(t *testing.T) {
		b.op.Update(t, ep.ID, rig.Fields{"handler": rig.Fields{"agent_id": agent.ID}})
		cancelledWith(t, b, ep, agent.ID, secret)
		b.op.Update(t, ep.ID, rig.Fields{"handler": rig.Fields{"agent_id": b.echo.Agent}})
	})
	t.Run("malformed", func(t *testing.T) { malformedWith(t, b, ep.Slug) })
	b.Idle(t, 3*settle) // some were answered later than anybody listened
	t.Run("control", func(t *testing.T) { controlWith(t, b, ep, secret) })
	t.Run("rejected", func(t *testing.T) { rejectedWith(t, b, ep) })
	b.Idle(t, settle)
	if stored := waitForEvents(t, b, 8); stored != "" {
		secret.absent(t, "a stored event", stored)
	}

	heard.mu.Lock()
	subjects, payloads := fmt.Sprint(heard.subjects), strings.Join(heard.payloads, "\n")
	heard.mu.Unlock()
	for _, prefix := range []string{"pb.v1.invite.", "pb.v1.evt.", "pb.v1.call.", "pb.v1.agent.", "pb.v1.ctl.", "$KV.", "$JS."} {
		if heard.count(prefix) == 0 {
			t.Errorf("nothing was heard on %s: the canary did not fly there", prefix)
		}
	}
	secret.absent(t, "a subject", subjects)
	secret.absent(t, "the payload of an event or an offer", payloads)
	secret.absent(t, "/metrics", b.Metrics())
	secret.absent(t, "the subject of something stored", storedSubjects(t, b))
	b.Stop(t)
	log := b.Log()
	if !strings.Contains(log, `"DEBUG"`) {
		t.Error("the log has no debug line")
	}
	secret.absent(t, "the log", log)
}

// acceptedWith places answered calls that repeat the slug wherever a carrier
// might.
func acceptedWith(t *testing.T, b *bed, slug string) {
	for _, transport := range rig.Transports {
		invite := b.invite(slug)
		user := slug + "@" + b.SIP.String()
		invite.To = `"` + slug + `" <sip:` + strings.ToUpper(slug) + "@" + b.SIP.String() + ">"
		invite.Headers = []string{"Diversion: <sip:" + user + ">;reason=unconditional", "P-Asserted-Identity: <sip:" + user + ">",
			"X-Dialled: " + slug, "User-to-User: " + slug, "History-Info: <sip:" + user + ">;index=1",
			"Subject: " + slug, "User-Agent: " + slug}
		carrier := b.Dial(t, transport)
		answer := carrier.Final(invite)
		if answer.Status() != 200 {
			t.Fatalf("over %s got %q, want 200", transport, answer.Line())
		}
		carrier.Send(invite.Within(answer, "ACK", 1))
		carrier.Final(invite.Within(answer, "OPTIONS", 2))
		carrier.Final(invite.Within(answer, "INVITE", 3))
		reason := invite.Within(answer, "BYE", 4)
		reason.Headers = []string{`Reason: Q.850;cause=16;text="` + slug + `"`}
		carrier.Final(reason)
	}
}

// cancelledWith has a call wait for an agent that asks for it, then cancels.
func cancelledWith(t *testing.T, b *bed, ep control.EndpointView, agent string, secret canary) {
	key, err := os.ReadFile(filepath.Join(b.Dir, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	carrier, invite := b.Dial(t, "udp"), b.invite(ep.Slug)
	carrier.Send(invite)
	carrier.Status(180, "INVITE")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+b.HTTP+"/v1/agents/"+agent+"/waiting?wait=5s", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(key)))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK || !strings.Contains(string(body), `"call_id"`) {
		t.Errorf("the agent that dials in is told: %d %s", res.StatusCode, body)
	}
	secret.absent(t, "what a dial-in agent is told", string(body))
	carrier.Send(invite.Cancel())
	carrier.Send(invite.AckOf(carrier.Status(487, "INVITE")))
}

// malformedWith sends broken messages that hold the slug in every header.
func malformedWith(t *testing.T, b *bed, slug string) {
	good := b.invite(slug)
	var texts []string
	for _, header := range []string{"Via", "From", "To", "Call-ID", "CSeq", "Contact", "Max-Forwards", "Content-Length", "Content-Type",
		"Expires", "Require", "Proxy-Require", "Route", "Record-Route", "Authorization", "Date", "Event", "Accept", "Supported", "Reason"} {
		for _, value := range []string{slug, "<sip:" + slug, `"` + slug + ` <sip:x@y>`, slug + "\x00", slug + "\r\n\tfolded"} {
			r := good
			r.Branch, r.CallID = "", ""
			r = r.Fresh()
			r.Headers = []string{header + ": " + value}
			texts = append(texts, b.Text(r))
		}
	}
	plain := b.Text(good)
	first, rest, _ := strings.Cut(plain, "\r\n")
	for _, line := range []string{slug, "INVITE " + slug + " SIP/2.0", "INVITE sip:" + slug + "@[::1 SIP/2.0", "INVITE sip:" + slug + "@h SIP/7.0",
		slug + " sip:h SIP/2.0", "SIP/2.0 200 " + slug, "GET /" + slug + " HTTP/1.1", "INVITE sip:" + newCanary(slug).escaped + "@h SIP/2.0"} {
		texts = append(texts, line+"\r\n"+rest)
	}
	for _, pair := range [][2]string{{"CSeq: 1 INVITE", "CSeq: 1 " + slug}, {"\r\nTo:", "\nTo:"}, {"tag=", "tag=" + slug},
		{"branch=", "branch=" + slug}, {"Call-ID: ", "Call-ID: " + slug + "@"}, {"v=0\r\n", slug + "\r\n"}, {"m=audio ", "m=" + slug + " "}} {
		texts = append(texts, strings.Replace(first+"\r\n"+rest, pair[0], pair[1], 1))
	}
	var all sync.WaitGroup
	for group := range slices.Chunk(texts, 16) {
		for _, text := range group {
			for _, transport := range rig.Transports {
				p := b.Dial(t, transport)
				all.Go(func() {
					defer p.Close()
					p.Raw(text)
					for end := time.Now().Add(quiet); ; {
						got, ok := p.Next(time.Until(end))
						if !ok {
							return
						}
						if got.Status() == 200 && strings.HasSuffix(got.Header("CSeq"), " INVITE") { // some are not that bad
							p.Send(hangUp(got))
						}
					}
				})
			}
		}
		all.Wait()
	}
}

// hangUp is the BYE of a call of which only the 200 is known.
func hangUp(answer rig.Response) rig.Request {
	_, tag, _ := strings.Cut(answer.Header("From"), "tag=")
	return rig.Request{CallID: answer.Header("Call-ID"), FromTag: tag}.Within(answer, "BYE", 2)
}

// controlWith lets the owner do all there is to do. Replies may hold the slug;
// errors may not.
func controlWith(t *testing.T, b *bed, ep control.EndpointView, secret canary) {
	b.op.Do(t, "endpoint", "get", control.ID{ID: ep.ID}, nil)
	b.op.Do(t, "endpoint", "list", control.PageRequest{}, nil)
	b.op.Update(t, ep.ID, rig.Fields{"name": "renamed"})
	for _, bad := range []struct {
		noun, verb string
		in         any
	}{
		{"endpoint", "get", control.ID{ID: ep.Slug}},
		{"endpoint", "delete", control.ID{ID: ep.Slug}},
		{"endpoint", "update", map[string]any{"id": ep.ID, "patch": map[string]any{"slug": ep.Slug}}},
		{"endpoint", "update", map[string]any{"id": ep.ID, ep.Slug: 1}},
		{"endpoint", "create", map[string]any{"slug_prefix": ep.Slug}},
		{"endpoint", "create", map[string]any{"spec": map[string]any{"ip": map[string]any{"mode": "list", "entries": []map[string]any{{"raw": ep.Slug}}}}}},
		{"endpoint", "list", control.PageRequest{Cursor: ep.Slug}},
		{"call", "get", control.ID{ID: ep.Slug}},
		{"call", "hangup", control.ID{ID: ep.Slug}},
	} {
		if err := b.op.Try(bad.noun, bad.verb, bad.in, nil); err == nil {
			t.Errorf("%s %s took %v", bad.noun, bad.verb, bad.in)
		}
	}
	raw, err := json.Marshal(b.op.Calls(t))
	if err != nil {
		t.Fatal(err)
	}
	secret.absent(t, "the list of calls", string(raw))
	for _, path := range []string{"/" + ep.Slug, "/v1/calls/" + ep.Slug + "/webrtc", "/v1/agents/" + ep.Slug + "/waiting?wait=" + ep.Slug} {
		if _, _, err := b.Get(path); err != nil {
			t.Error(err)
		}
	}
}

// rejectedWith has the slug refused for every reason there is, the last of
// them that it is gone.
func rejectedWith(t *testing.T, b *bed, ep control.EndpointView) {
	expect := func(status int) {
		t.Helper()
		for _, transport := range rig.Transports {
			carrier, invite := b.Dial(t, transport), b.invite(ep.Slug)
			got := carrier.Final(invite)
			carrier.Send(invite.AckOf(got))
			if got.Status() != status {
				t.Errorf("over %s got %q, want %d", transport, got.Line(), status)
			}
		}
	}
	b.op.Update(t, ep.ID, rig.Fields{"max_concurrent_calls": 1})
	b.free(t, ep.Slug)
	call := b.call(t, "udp", ep.Slug)
	expect(486)
	call.bye(t)
	b.op.Update(t, ep.ID, rig.Fields{"is_active": false, "max_concurrent_calls": nil})
	expect(603)
	b.op.Update(t, ep.ID, rig.Fields{"is_active": true, "ip": rig.Fields{"mode": "none"}})
	expect(403)
	b.op.Delete(t, ep.ID)
	expect(404)
}

// waitForEvents returns everything in the EVENTS stream, once it holds n at
// least.
func waitForEvents(t *testing.T, b *bed, n uint64) string {
	t.Helper()
	js, err := jetstream.New(b.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	var last uint64
	rig.Until(t, settle, func() (string, bool) {
		in, err := stream.Info(t.Context())
		if err == nil {
			last = in.State.LastSeq
		}
		return fmt.Sprintf("%d events stored, want %d at least", last, n), last >= n
	})
	var all strings.Builder
	for seq := uint64(1); seq <= last; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatalf("event %d: %v", seq, err)
		}
		fmt.Fprintf(&all, "%s %v %s\n", m.Subject, m.Header, m.Data)
	}
	return all.String()
}

// storedSubjects lists the subjects of every stream's messages: keys of
// buckets are among them.
func storedSubjects(t *testing.T, b *bed) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), settle)
	defer cancel()
	js, err := jetstream.New(b.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	names := js.StreamNames(ctx)
	for name := range names.Name() {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		in, err := stream.Info(ctx, jetstream.WithSubjectFilter(">"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&all, name, in.State.Subjects)
	}
	if names.Err() != nil || all.Len() == 0 {
		t.Fatalf("list streams: %v", names.Err())
	}
	return all.String()
}
