// Package lifecycle ties components to fx. Components know nothing of fx: they
// have Run and Ready, and that is all. fx starts them in the order in which
// they were attached and stops them in the reverse order, one after the other.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"go.uber.org/fx"
)

// cleanUp is how long a component that was not ready in time may take to end.
const cleanUp = 5 * time.Second

// forOthers is how much of the time that an application has to stop no one
// component may take: those below one that hangs may have something to bring to
// the disk.
const forOthers = 6 * time.Second

// A Component works until ctx ends, then cleans up and returns nil. Ready is
// closed once it serves.
type Component interface {
	Run(ctx context.Context) error
	Ready() <-chan struct{}
}

// ErrEnded says that a component returned without being told to.
var ErrEnded = errors.New("ended without being told to")

// Attach starts c with the application and waits until it is ready. Where c
// fails before that, so does the start; where it fails or panics later, the
// application stops with exit code 1, and what else runs in it stops in order.
// On the way down Attach waits for c as long as fx allows, but for what others
// need.
func Attach[C Component](lc fx.Lifecycle, app fx.Shutdowner, log *slog.Logger, c C) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &runner{component: c, name: strings.TrimPrefix(fmt.Sprintf("%T", c), "*"), log: log, app: app, ctx: ctx, cancel: cancel, done: make(chan struct{})}
	lc.Append(fx.Hook{OnStart: r.start, OnStop: r.stop})
}

type runner struct {
	component Component
	name      string // its type
	log       *slog.Logger
	app       fx.Shutdowner
	ctx       context.Context
	cancel    context.CancelFunc
	done      chan struct{}

	telling sync.Mutex // why it ended is told once: by watch, or by stop
	err     error      // why it ended; to be read after done
}

func (r *runner) start(ctx context.Context) error {
	go r.run()
	select {
	case <-r.component.Ready():
		go r.watch()
		return nil
	case <-r.done:
		return r.err
	case <-ctx.Done():
		r.cancel()
		select {
		case <-r.done:
		case <-time.After(cleanUp):
		}
		return r.late(ctx, "component not ready in time")
	}
}

func (r *runner) stop(ctx context.Context) error {
	r.cancel()
	own, cancel := ctx, context.CancelFunc(func() {})
	if end, ok := ctx.Deadline(); ok && time.Until(end) > forOthers {
		own, cancel = context.WithDeadline(ctx, end.Add(-forOthers))
	}
	defer cancel()
	select {
	case <-r.done:
		r.telling.Lock()
		defer r.telling.Unlock()
		return r.err
	case <-own.Done():
		return r.late(own, "component not stopped in time")
	}
}

// late logs who was late: fx does not wait for the error that says so.
func (r *runner) late(ctx context.Context, what string) error {
	r.log.Error(what, "component", r.name, "err", ctx.Err())
	return fmt.Errorf("%s: %w", r.name, ctx.Err())
}

// run runs the component to its end.
func (r *runner) run() {
	defer close(r.done)
	defer func() {
		if p := recover(); p != nil {
			r.err = fmt.Errorf("%s: panic: %v\n%s", r.name, p, debug.Stack())
		}
	}()
	err := r.component.Run(r.ctx)
	if err == nil && r.ctx.Err() == nil {
		err = ErrEnded
	}
	if err != nil {
		r.err = fmt.Errorf("%s: %w", r.name, err)
	}
}

// watch stops the application where the component ends before its time.
func (r *runner) watch() {
	<-r.done
	if r.tells() {
		_ = r.app.Shutdown(fx.ExitCode(1))
	}
}

// tells logs why the component ended, unless it was told to: then stop says it.
func (r *runner) tells() bool {
	r.telling.Lock()
	defer r.telling.Unlock()
	if r.ctx.Err() != nil {
		return false
	}
	r.log.Error("component failed", "err", r.err)
	r.err = nil // the stop that follows is an orderly one
	return true
}
