package main

import (
	"errors"
	"log/slog"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/fx"
)

// A signal reaches the node by two ways: its own, and that of fx. It is one
// signal: to stop in order, and not for a part that failed.
func TestASignalIsNoFailureWhicheverWayComesFirst(t *testing.T) {
	quiet := fx.NopLogger
	n := &node{app: fx.New(quiet), ground: &ground{base: fx.New(quiet)}, log: slog.New(slog.DiscardHandler)}
	for _, app := range []*fx.App{n.app, n.ground.base} {
		if err := app.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = app.Stop(t.Context()) })
	}
	heard := n.app.Wait()
	signals, ended := make(chan os.Signal, 2), make(chan error, 1)
	go func() { ended <- n.serve(signals) }()
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil { // fx has asked for it: it ends no test
		t.Fatal(err)
	}
	<-heard
	select {
	case err := <-ended:
		t.Fatalf("the node stopped for what fx heard: %v", err)
	case <-time.After(100 * time.Millisecond): // real: nothing is to happen
	}
	signals <- syscall.SIGTERM
	if err := <-ended; err != nil {
		t.Errorf("got %v, want an orderly stop", err)
	}
}

func TestAPartThatFailsStopsTheNodeWithAnError(t *testing.T) {
	var app fx.Shutdowner
	n := &node{app: fx.New(fx.NopLogger, fx.Populate(&app)), ground: &ground{base: fx.New(fx.NopLogger)}, log: slog.New(slog.DiscardHandler)}
	if err := n.app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.app.Stop(t.Context()) })
	if err := app.Shutdown(fx.ExitCode(1)); err != nil {
		t.Fatal(err)
	}
	if err := n.serve(make(chan os.Signal)); !errors.Is(err, errSilent) {
		t.Errorf("got %v, want the failure", err)
	}
}
