package lifecycle_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/fx"
	"go.uber.org/goleak"

	"patchbay/internal/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// component is a part of an application that notes what becomes of it.
type component struct {
	name  string
	note  func(string)
	ready chan struct{}
	run   func(ctx context.Context, ready func()) error
}

func (c *component) Ready() <-chan struct{} { return c.ready }

func (c *component) Run(ctx context.Context) error {
	defer c.note(c.name + " ended")
	return c.run(ctx, func() { c.note(c.name + " ready"); close(c.ready) })
}

// until works until it is told to stop.
func until(ctx context.Context, ready func()) error {
	ready()
	<-ctx.Done()
	return nil
}

type world struct {
	mu   sync.Mutex
	told []string
	log  strings.Builder
	app  *fx.App
}

func (w *world) note(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, s)
}

func (w *world) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(b)
}

func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

func (w *world) expect(t *testing.T, want ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.told, want) {
		t.Errorf("got %v, want %v", w.told, want)
	}
}

// newWorld makes an application of components that run in this order.
func newWorld(runs ...func(context.Context, func()) error) *world {
	w := &world{}
	log := slog.New(slog.NewTextHandler(w, nil))
	w.app = fx.New(fx.NopLogger, fx.StartTimeout(10*time.Second), fx.StopTimeout(10*time.Second),
		fx.Invoke(func(lc fx.Lifecycle, app fx.Shutdowner) {
			for i, run := range runs {
				c := &component{name: string(rune('a' + i)), note: w.note, ready: make(chan struct{}), run: run}
				lifecycle.Attach(lc, app, log, c)
			}
		}))
	return w
}

func TestComponentsStartInOrderAndStopInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(ctx context.Context, ready func()) error {
			time.Sleep(time.Second)
			ready()
			<-ctx.Done()
			time.Sleep(time.Second)
			return nil
		}
		w := newWorld(slow, slow, until)
		if err := w.app.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.app.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.expect(t, "a ready", "b ready", "c ready", "c ended", "b ended", "a ended")
	})
}

func TestAComponentThatFailsAtItsStartFailsTheApplication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("port taken")
		w := newWorld(until, func(context.Context, func()) error { return broken }, until)
		if err := w.app.Start(t.Context()); !errors.Is(err, broken) {
			t.Errorf("got %v, want %v", err, broken)
		}
		w.expect(t, "a ready", "b ended", "a ended")
		if w.logged() != "" {
			t.Errorf("returned and logged: %s", w.logged())
		}
	})
}

func TestAComponentThatIsNeverReadyIsStoppedAndNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(func(ctx context.Context, _ func()) error { <-ctx.Done(); return nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.app.Start(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		w.expect(t, "a ended")
		if log := w.logged(); !strings.Contains(log, `msg="component not ready in time" component=lifecycle_test.component`) {
			t.Errorf("log: %s", log)
		}
	})
}

func TestAComponentThatFailsLaterStopsTheApplicationWithCode1(t *testing.T) {
	for name, c := range map[string]struct {
		fail func() error
		want string
	}{
		"error":  {func() error { return errors.New("disk gone") }, "disk gone"},
		"return": {func() error { return nil }, lifecycle.ErrEnded.Error()},
		"panic":  {func() error { panic("out of range") }, "panic: out of range"},
	} {
		t.Run(name, func(t *testing.T) {
			now := make(chan struct{})
			w := newWorld(until, func(_ context.Context, ready func()) error {
				ready()
				<-now
				return c.fail()
			})
			if err := w.app.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			ended := w.app.Wait()
			close(now)
			if sig := <-ended; sig.ExitCode != 1 {
				t.Errorf("exit code %d", sig.ExitCode)
			}
			if err := w.app.Stop(t.Context()); err != nil {
				t.Errorf("stop: %v", err)
			}
			if !strings.Contains(w.logged(), c.want) {
				t.Errorf("log lacks %q: %s", c.want, w.logged())
			}
			w.expect(t, "a ready", "b ready", "b ended", "a ended")
		})
	}
}

func TestAComponentThatDoesNotStopIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(func(_ context.Context, ready func()) error {
			ready()
			time.Sleep(time.Hour)
			return nil
		})
		if err := w.app.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.app.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		time.Sleep(time.Hour)
		if log := w.logged(); !strings.Contains(log, `msg="component not stopped in time" component=lifecycle_test.component`) {
			t.Errorf("log: %s", log)
		}
	})
}

// TestAComponentThatDoesNotStopLeavesTheOthersTime has one that hangs above one
// that has something to bring to an end.
func TestAComponentThatDoesNotStopLeavesTheOthersTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(func(ctx context.Context, ready func()) error {
			ready()
			<-ctx.Done()
			time.Sleep(5 * time.Second)
			return nil
		}, func(_ context.Context, ready func()) error {
			ready()
			time.Sleep(time.Hour)
			return nil
		})
		if err := w.app.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := w.app.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		w.expect(t, "a ready", "b ready", "a ended")
		if log := w.logged(); strings.Count(log, "component not stopped in time") != 1 {
			t.Errorf("log: %s", log)
		}
		time.Sleep(time.Hour)
	})
}

// TestAComponentThatFailsAsTheApplicationStopsIsToldOnce has one fail at the
// very moment at which it is told to stop.
func TestAComponentThatFailsAsTheApplicationStopsIsToldOnce(t *testing.T) {
	for range 200 {
		now := make(chan struct{})
		w := newWorld(func(_ context.Context, ready func()) error {
			ready()
			<-now
			return errors.New("disk gone")
		})
		if err := w.app.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		close(now)
		err := w.app.Stop(t.Context())
		if logged := strings.Contains(w.logged(), "disk gone"); logged == (err != nil) {
			t.Fatalf("logged: %v, returned: %v; want one of both", logged, err)
		}
	}
}
