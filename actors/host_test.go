package actors_test

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors"
)

func TestMessagesOfOneLoopRunInOrderAndAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := actors.NewHost(4, 1000, actors.HostObserver{})
		var got []int // no lock: the loop is the lock, and the race detector its witness
		for i := range 1000 {
			if err := h.Loop(7).Tell(func(time.Time) { got = append(got, i) }); err != nil {
				t.Fatal(err)
			}
		}
		h.Stop()
		if len(got) != 1000 || !slices.IsSorted(got) {
			t.Errorf("%d messages ran, sorted: %v", len(got), slices.IsSorted(got))
		}
	})
}

func TestFullMailboxIsBusyAndPostsStillPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused, ran := 0, 0
		h := actors.NewHost(1, 2, actors.HostObserver{Refused: func(int) { refused++ }})
		release := make(chan struct{})
		count := func(time.Time) { ran++ }
		_ = h.Loop(0).Tell(func(time.Time) { <-release })
		synctest.Wait() // the first message is being handled
		for range 2 {
			if err := h.Loop(0).Tell(count); err != nil {
				t.Fatalf("refused with room left: %v", err)
			}
		}
		if err := h.Loop(0).Tell(count); !errors.Is(err, actors.ErrBusy) {
			t.Fatalf("got %v, want ErrBusy", err)
		}
		if err := h.Loop(0).Post(count); err != nil {
			t.Fatalf("a post was refused: %v", err)
		}
		if h.Depth() != 3 || refused != 1 {
			t.Errorf("depth %d, refused %d", h.Depth(), refused)
		}
		close(release)
		h.Stop()
		if ran != 3 {
			t.Errorf("%d messages ran, want 3", ran)
		}
		if err := h.Loop(0).Tell(count); !errors.Is(err, actors.ErrStopped) {
			t.Errorf("got %v after Stop", err)
		}
	})
}

func TestPanicCostsOneMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []any
		h := actors.NewHost(1, 10, actors.HostObserver{Panicked: func(loop int, v any, stack []byte) {
			if len(stack) == 0 {
				t.Error("no stack")
			}
			seen = append(seen, v)
		}})
		ran := false
		_ = h.Loop(0).Tell(func(time.Time) { panic("message") })
		_ = h.Loop(0).Tell(func(now time.Time) {
			h.Loop(0).Timer(func(time.Time) { panic("timer") }).Set(now.Add(time.Second))
		})
		time.Sleep(2 * time.Second)
		_ = h.Loop(0).Tell(func(time.Time) { ran = true })
		h.Stop()
		if !ran || len(seen) != 2 || seen[0] != "message" || seen[1] != "timer" {
			t.Errorf("ran %v, panics %v", ran, seen)
		}
	})
}

func TestTimersFireOnceInOrderOnTheirLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := actors.NewHost(1, 10, actors.HostObserver{})
		l, began := h.Loop(0), time.Now()
		var fired []time.Duration
		note := func(now time.Time) { fired = append(fired, now.Sub(began)) }
		_ = l.Tell(func(now time.Time) {
			l.Timer(note).Set(now.Add(3 * time.Second))
			l.Timer(note).Set(now.Add(time.Second))
			moved := l.Timer(note)
			moved.Set(now.Add(time.Minute))
			moved.Set(now.Add(2 * time.Second))
			stopped := l.Timer(note)
			stopped.Set(now.Add(time.Second))
			stopped.Stop()
			zeroed := l.Timer(note)
			zeroed.Set(now.Add(time.Second))
			zeroed.Set(time.Time{})
		})
		time.Sleep(time.Hour)
		h.Stop()
		if want := []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}; !slices.Equal(fired, want) {
			t.Errorf("fired at %v, want %v", fired, want)
		}
	})
}

func TestTimerThatIsAlwaysDueDoesNotStarveMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := actors.NewHost(1, 10, actors.HostObserver{})
		l := h.Loop(0)
		var again *actors.Timer
		ran := make(chan struct{})
		again = l.Timer(func(now time.Time) {
			select {
			case <-ran:
			default:
				again.Set(now)
			}
		})
		_ = l.Tell(func(now time.Time) { again.Set(now) })
		_ = l.Tell(func(time.Time) { close(ran) })
		<-ran
		h.Stop()
	})
}

func TestIdleLoopCostsNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := goroutines()
		h := actors.NewHost(256, 10, actors.HostObserver{})
		if n := grown(before); n != 0 {
			t.Errorf("%d goroutines before the first message", n)
		}
		var fired atomic.Bool
		for i := range uint64(256) {
			_ = h.Loop(i).Tell(func(time.Time) {})
		}
		_ = h.Loop(1).Tell(func(now time.Time) {
			h.Loop(1).Timer(func(time.Time) { fired.Store(true) }).Set(now.Add(actors.Linger * 3))
		})
		time.Sleep(actors.Linger + actors.Linger/2)
		synctest.Wait()
		if n := grown(before); n != 0 || fired.Load() {
			t.Errorf("%d loops run after Linger, fired %v; want none before the timer is due", n, fired.Load())
		}
		time.Sleep(2 * actors.Linger)
		synctest.Wait()
		if !fired.Load() {
			t.Error("a timer did not bring its loop back")
		}
		time.Sleep(2 * actors.Linger)
		synctest.Wait()
		if n := grown(before); n != 0 {
			t.Errorf("%d loops run at the end", n)
		}
		again := false
		_ = h.Loop(9).Tell(func(time.Time) { again = true })
		h.Stop()
		if !again {
			t.Error("a loop did not come back")
		}
	})
}

func TestAMessageAndAStopEndTheWaitOfALoopThatRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := actors.NewHost(2, 10, actors.HostObserver{})
		var fired [2]atomic.Int32
		for i := range 2 {
			l := h.Loop(uint64(i))
			timer := l.Timer(func(time.Time) { fired[i].Add(1) })
			_ = l.Tell(func(now time.Time) { timer.Set(now.Add(time.Hour)) })
			if i == 1 {
				time.Sleep(2 * actors.Linger)
				_ = l.Tell(func(now time.Time) { timer.Set(now.Add(time.Minute)) }) // sooner than it rests for
				time.Sleep(2 * time.Minute)
			}
		}
		if a, b := fired[0].Load(), fired[1].Load(); a != 0 || b != 1 {
			t.Errorf("the timers fired %d and %d times, want that of loop 1 only", a, b)
		}
		h.Stop()
		time.Sleep(2 * time.Hour)
		if n := fired[0].Load(); n != 0 {
			t.Errorf("a timer fired %d times after Stop", n)
		}
	})
}

func TestStopFinishesWhatWaitsAndMayRaceWithTell(t *testing.T) {
	h := actors.NewHost(4, 1000, actors.HostObserver{})
	var mu sync.Mutex
	told, ran := 0, 0
	var tellers sync.WaitGroup
	for i := range uint64(8) {
		tellers.Go(func() {
			for range 500 {
				if h.Loop(i).Tell(func(time.Time) { mu.Lock(); ran++; mu.Unlock() }) == nil {
					mu.Lock()
					told++
					mu.Unlock()
				}
			}
		})
	}
	h.Stop()
	tellers.Wait()
	if told != ran {
		t.Errorf("%d messages were taken, %d ran", told, ran)
	}
}

func BenchmarkHostTell(b *testing.B) {
	h := actors.NewHost(1, 1<<20, actors.HostObserver{})
	l, done := h.Loop(0), make(chan struct{})
	message := actors.Message(func(time.Time) {})
	b.ReportAllocs()
	for b.Loop() {
		for l.Tell(message) != nil {
			runtime.Gosched()
		}
	}
	_ = l.Post(func(time.Time) { close(done) })
	<-done
	h.Stop()
}
