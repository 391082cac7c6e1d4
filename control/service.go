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

// Subject of an operation: Prefix, tenant, noun, verb (design section 6).
const (
	prefix      = "pb.v1.ctl"
	serviceName = "patchbay-control"

	idempotencyHeader = "Idempotency-Key"
)

// A Service answers control requests over NATS.
type Service struct {
	nc       *nats.Conn
	ops      *Operations
	version  string
	log      *slog.Logger
	inFlight chan struct{}
	ready    chan struct{}
	wg       sync.WaitGroup
}

// NewService returns a Service over ops.
func NewService(nc *nats.Conn, ops *Operations, version string, log *slog.Logger) *Service {
	return &Service{nc: nc, ops: ops, version: version, log: log,
		inFlight: make(chan struct{}, ops.Config.MaxInFlight), ready: make(chan struct{})}
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
		err := svc.AddEndpoint(name, micro.HandlerFunc(func(req micro.Request) { s.serve(ctx, op, req) }),
			micro.WithEndpointSubject(subject))
		if err != nil {
			return fmt.Errorf("control: serve %s: %w", name, err)
		}
	}
	close(s.ready)
	<-ctx.Done()
	return nil
}

// serve works on a request apart from the subscription: micro runs one handler
// of an endpoint at a time, and one slow write must not hold up the rest.
func (s *Service) serve(ctx context.Context, op operation, req micro.Request) {
	select {
	case s.inFlight <- struct{}{}:
	default:
		s.refuse(op, req, &Error{Code: CodeBusy, Message: "too many control requests at once"})
		return
	}
	s.wg.Go(func() {
		defer func() { <-s.inFlight }()
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("control request panicked", "op", op.noun+"."+op.verb, "err", p)
				s.refuse(op, req, &Error{Code: CodeInternal, Message: "internal error"})
			}
		}()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.ops.Config.RequestTimeout)
		defer cancel()
		out, err := s.ops.Do(ctx, allOf(tenantOf(req.Subject())), Request{Noun: op.noun, Verb: op.verb, Body: req.Data(),
			IdempotencyKey: req.Headers().Get(idempotencyHeader)})
		if err != nil {
			s.fail(op, req, err)
			return
		}
		body, err := json.Marshal(out)
		if err != nil {
			s.fail(op, req, err)
			return
		}
		s.reply(op, req, nil, body)
	})
}

func (s *Service) fail(op operation, req micro.Request, err error) {
	if s.ops.Translate != nil {
		err = s.ops.Translate(err)
	}
	told := errorOf(err)
	if told.Code == CodeInternal {
		s.log.Error("control request failed", "op", op.noun+"."+op.verb, "err", err)
	}
	s.refuse(op, req, told)
}

func (s *Service) refuse(op operation, req micro.Request, told *Error) {
	body, _ := json.Marshal(told)
	s.reply(op, req, nats.Header{micro.ErrorHeader: {told.Message}, micro.ErrorCodeHeader: {string(told.Code)}}, body)
}

// reply answers past req: its own methods write what micro reads as soon as the
// handler has returned, and that is before the work is done.
func (s *Service) reply(op operation, req micro.Request, head nats.Header, body []byte) {
	err := s.nc.PublishMsg(&nats.Msg{Subject: req.Reply(), Header: head, Data: body})
	if errors.Is(err, nats.ErrMaxPayload) && head == nil {
		s.refuse(op, req, invalid("limit", endpoint.CodeTooLong, "the reply does not fit in a message: ask for fewer"))
		return
	}
	if err != nil {
		s.log.Warn("control reply not sent", "op", op.noun+"."+op.verb, "err", err)
	}
}

// tenantOf takes the tenant from the subject that NATS let the client publish
// to, never from the payload.
func tenantOf(subject string) string {
	parts := strings.Split(subject, ".")
	if len(parts) < 4 {
		return ""
	}
	return parts[len(parts)-3]
}
