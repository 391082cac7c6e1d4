package main

import (
	"context"

	"patchbay/cluster"
)

// An opening is a component that opens something and closes it when it is told
// to stop: a subscription, a table.
type opening struct {
	open  func() (shut func(), err error)
	ready chan struct{}
}

func newOpening(open func() (func(), error)) *opening {
	return &opening{open: open, ready: make(chan struct{})}
}

// Ready implements lifecycle.Component.
func (o *opening) Ready() <-chan struct{} { return o.ready }

// Run implements lifecycle.Component.
func (o *opening) Run(ctx context.Context) error {
	shut, err := o.open()
	if err != nil {
		return err
	}
	close(o.ready)
	<-ctx.Done()
	shut()
	return nil
}

// A running is a component that is ready at once.
type running struct {
	run   func(ctx context.Context) error
	ready chan struct{}
}

func newRunning(run func(context.Context) error) *running {
	r := &running{run: run, ready: make(chan struct{})}
	close(r.ready)
	return r
}

// Ready implements lifecycle.Component.
func (r *running) Ready() <-chan struct{} { return r.ready }

// Run implements lifecycle.Component.
func (r *running) Run(ctx context.Context) error { return r.run(ctx) }

// A leaving is a heartbeat that says goodbye before its role stops.
type leaving struct {
	*cluster.Beats
	leaves <-chan struct{}
}

func newLeaving(b *cluster.Beats, leaves <-chan struct{}) *leaving { return &leaving{b, leaves} }

// Run implements lifecycle.Component.
func (l *leaving) Run(ctx context.Context) error {
	beating, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-l.leaves:
			stop()
		case <-beating.Done():
		}
	}()
	err := l.Beats.Run(beating)
	if err == nil {
		<-ctx.Done()
	}
	return err
}
