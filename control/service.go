package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"patchbay/actors/endpoint"
)

// Subject of an operation: Prefix, tenant, noun, verb (docs/permissions.md).
const (
	prefix      = "pb.v1.ctl"
	serviceName = "patchbay-control"
	inboxes     = "_INBOX" // begins the inboxes of all who may ask

	idempotencyHeader = "Idempotency-Key"
)

// A Service answers control requests over NATS.
type Service struct {
	nc      *nats.Conn
	ops     *Operations
	version string
	log     *slog.Logger
	ready   chan struct{}
	wg      sync.WaitGroup
}

// NewService returns a Service over ops.
func NewService(nc *nats.Conn, ops *Operations, version string, log *slog.Logger) *Service {
	return &Service{nc: nc, ops: ops, version: version, log: log, ready: make(chan struct{})}
}

// Ready implements lifecycle.Component.
func (s *Service) Ready() <-chan struct{} { return s.ready }

// Run serves until ctx ends, then finishes what was begun.
func (s *Service) Run(ctx context.Context) error {
	svc, err := micro.AddService(s.nc, micro.Config{Name: serviceName, Version: "1.0.0",
		Description: "Accounts, keys, endpoints, agents, calls and nodes", Metadata: map[string]string{"build": s.version}})
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	defer func() { _ = svc.Stop(); s.wg.Wait() }()
	for _, op := range s.ops.table() {
		name := op.noun + "-" + op.verb
		subject := strings.Join([]string{prefix, "*", op.noun, op.verb}, ".")
		err := svc.AddEndpoint(name, micro.HandlerFunc(func(r micro.Request) {
			s.serve(ctx, op, asked{r.Subject(), r.Reply(), nats.Header(r.Headers()), r.Data()})
		}), micro.WithEndpointSubject(subject))
		if err != nil {
			return fmt.Errorf("control: serve %s: %w", name, err)
		}
	}
	byKey, err := s.nc.QueueSubscribe(prefix+".*.*.*.*", micro.DefaultQueueGroup, func(m *nats.Msg) { s.serveKey(ctx, m) })
	if err != nil {
		return fmt.Errorf("control: serve keys: %w", err)
	}
	defer func() { _ = byKey.Drain() }() // the connection may be gone
	close(s.ready)
	<-ctx.Done()
	return nil
}

// An asked is one request.
type asked struct {
	subject, reply string
	head           nats.Header
	data           []byte
}

// serveKey takes requests that end with the id of the key that asks.
func (s *Service) serveKey(ctx context.Context, m *nats.Msg) {
	words := strings.Split(m.Subject, ".")
	noun, verb := words[len(words)-3], words[len(words)-2]
	op, ok := s.ops.find(noun, verb)
	req := asked{m.Subject, m.Reply, m.Header, m.Data}
	switch {
	case ok:
		s.serve(ctx, op, req)
	case isInbox(m.Reply):
		s.refuse(operation{noun: noun, verb: verb}, req, &Error{Code: CodeNotFound, Message: "no such operation"})
	}
}

func isInbox(reply string) bool { return strings.HasPrefix(reply, inboxes) }

// serve works on a request apart from the subscription: micro runs one handler
// of an endpoint at a time, and one slow write must not hold up the rest.
//
// Whoever asks names the subject of the reply, and NATS looks at its permissions
// when we write there: with ours, which reach into every account's objects. So a
// reply goes to an inbox or nowhere.
func (s *Service) serve(ctx context.Context, op operation, req asked) {
	tenant, key := askerOf(req.subject)
	if req.reply != "" && !isInbox(req.reply) {
		s.log.Debug("control request not served: its reply would go to no inbox", "op", op.noun+"."+op.verb, "tenant", tenant)
		return
	}
	if !s.ops.places().enter(tenant) {
		s.refuse(op, req, &Error{Code: CodeBusy, Message: "too many control requests at once"})
		return
	}
	s.wg.Go(func() {
		body, told := s.work(ctx, op, req, tenant, key)
		if told != nil {
			s.refuse(op, req, told)
			return
		}
		s.reply(op, req, nil, body)
	})
}

// work carries the request out and gives its place back: whoever has the reply
// may ask again at once.
func (s *Service) work(ctx context.Context, op operation, req asked, tenant, key string) (body []byte, told *Error) {
	defer s.ops.places().leave(tenant)
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("control request panicked", "op", op.noun+"."+op.verb, "err", fmt.Sprintf("%T", p)) // what it says may hold a secret
			told = &Error{Code: CodeInternal, Message: "internal error"}
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.ops.Config.RequestTimeout)
	defer cancel()
	cred, err := allOf(tenant), error(nil)
	if key != "" {
		if cred, err = s.ops.credentialOf(ctx, tenant, key); err != nil {
			return nil, s.told(op, err)
		}
	}
	out, err := s.ops.Do(ctx, cred, Request{Noun: op.noun, Verb: op.verb, Body: req.data,
		IdempotencyKey: req.head.Get(idempotencyHeader)})
	if err == nil {
		body, err = json.Marshal(out)
	}
	if err != nil {
		return nil, s.told(op, err)
	}
	return body, nil
}

// told is what a client hears of an error.
func (s *Service) told(op operation, err error) *Error {
	return s.ops.Told(err, s.log.With("op", op.noun+"."+op.verb))
}

func (s *Service) refuse(op operation, req asked, told *Error) {
	body, _ := json.Marshal(told)
	s.reply(op, req, nats.Header{micro.ErrorHeader: {told.Message}, micro.ErrorCodeHeader: {string(told.Code)}}, body)
}

// reply answers past req: its own methods write what micro reads as soon as the
// handler has returned, and that is before the work is done.
func (s *Service) reply(op operation, req asked, head nats.Header, body []byte) {
	err := s.nc.PublishMsg(&nats.Msg{Subject: req.reply, Header: head, Data: body})
	if errors.Is(err, nats.ErrMaxPayload) && head == nil {
		s.refuse(op, req, invalid("limit", endpoint.CodeTooLong, "the reply does not fit in a message: ask for fewer"))
		return
	}
	if err != nil {
		s.log.Warn("control reply not sent", "op", op.noun+"."+op.verb, "err", err)
	}
}

// askerOf takes the tenant, and the id of the API key that asks where there is
// one, from the subject that NATS let the client publish to, never from the
// payload.
func askerOf(subject string) (tenant, key string) {
	words := strings.Split(strings.TrimPrefix(subject, prefix+"."), ".")
	switch len(words) {
	case 3:
		return words[0], ""
	case 4:
		return words[0], words[3]
	}
	return "", ""
}
