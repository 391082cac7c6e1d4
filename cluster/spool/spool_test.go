package spool_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"patchbay/cluster/spool"
	"patchbay/internal/dirlock"
	"patchbay/internal/keys"
)

const (
	oneKey   = "1:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	otherKey = "2:ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
)

func cluster(t testing.TB, text string) *keys.Cluster {
	t.Helper()
	c, err := keys.ParseCluster([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// lost counts what a spool has lost.
type lost struct {
	mu                  sync.Mutex
	dropped, damaged    int
	unreadable          []string
	droppedRecordsAtAll bool
}

func (l *lost) observer() spool.Observer {
	return spool.Observer{
		Dropped: func(kind spool.Kind, n int) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.dropped += n
			l.droppedRecordsAtAll = l.droppedRecordsAtAll || kind == spool.Records
		},
		Damaged: func(_ spool.Kind, n int) { l.mu.Lock(); defer l.mu.Unlock(); l.damaged += n },
		Unreadable: func(name string, _ error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.unreadable = append(l.unreadable, name)
		},
	}
}

func open(t testing.TB, dir string, c *keys.Cluster, l *lost) *spool.Spool {
	t.Helper()
	s, err := spool.Open(dir, 0, c, l.observer())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func appendAll(t testing.TB, s *spool.Spool, kind spool.Kind, entries ...string) {
	t.Helper()
	for _, e := range entries {
		if err := s.Append(kind, []byte(e)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
}

// drain settles everything of a kind and returns it.
func drain(t testing.TB, s *spool.Spool, kind spool.Kind) (all []string) {
	t.Helper()
	for {
		b, err := s.Next(kind)
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			return all
		}
		for _, e := range b.Entries {
			all = append(all, string(e))
		}
		if err := s.Settle(b); err != nil {
			t.Fatal(err)
		}
	}
}

// files returns the segments of a directory, the oldest first.
func files(t testing.TB, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*.spool"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %.200q, want %.200q", what, got, want)
	}
}

func TestWhatIsSpooledComesBackInOrderAlsoAfterARestart(t *testing.T) {
	t.Parallel()
	dir, c, l := t.TempDir(), cluster(t, oneKey), &lost{}
	s := open(t, dir, c, l)
	appendAll(t, s, spool.Events, "e1", "e2")
	appendAll(t, s, spool.Records, "r1")
	if b, err := s.Next(spool.Events); err != nil || len(b.Entries) != 2 {
		t.Fatalf("got %v, %v", b, err)
	} // taken, not settled
	appendAll(t, s, spool.Events, "e3", "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, c, l)
	if s.Waiting(spool.Events) != 4 || s.Waiting(spool.Records) != 1 {
		t.Errorf("%d events and %d records wait", s.Waiting(spool.Events), s.Waiting(spool.Records))
	}
	appendAll(t, s, spool.Events, "e5")
	same(t, "events", drain(t, s, spool.Events), "e1", "e2", "e3", "", "e5")
	same(t, "records", drain(t, s, spool.Records), "r1")
	if s.Waiting(spool.Events) != 0 || s.Bytes() != 0 || len(files(t, dir)) != 0 {
		t.Errorf("%d wait, %d bytes, files %v", s.Waiting(spool.Events), s.Bytes(), files(t, dir))
	}
}

func TestNothingOfACallCanBeReadOnTheDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, cluster(t, oneKey), &lost{})
	appendAll(t, s, spool.Records, "+4930123456 canary")
	for _, name := range files(t, dir) {
		text, err := os.ReadFile(name)
		if err != nil || bytes.Contains(text, []byte("canary")) {
			t.Errorf("%s: %q, %v", name, text, err)
		}
		if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", name, st.Mode(), err)
		}
	}
}

func TestACutTailIsSkippedAndCounted(t *testing.T) {
	t.Parallel()
	for _, cut := range []int{1, 4, 18, 20, 21} {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			dir, c, l := t.TempDir(), cluster(t, oneKey), &lost{}
			s := open(t, dir, c, l)
			appendAll(t, s, spool.Events, "first", "second")
			_ = s.Close()
			name := files(t, dir)[0]
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, text[:len(text)-cut], 0o600); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir, c, l)
			same(t, "events", drain(t, s, spool.Events), "first")
			if l.damaged != 1 {
				t.Errorf("%d counted", l.damaged)
			}
		})
	}
}

func TestAChangedEntryCostsItselfOnly(t *testing.T) {
	t.Parallel()
	dir, c, l := t.TempDir(), cluster(t, oneKey), &lost{}
	s := open(t, dir, c, l)
	appendAll(t, s, spool.Events, "aaaa", "bbbb", "cccc")
	_ = s.Close()
	name := files(t, dir)[0]
	text, _ := os.ReadFile(name)
	text[24+24+4+2] ^= 1 // in the second entry: each takes 24 bytes
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, c, l)
	same(t, "events", drain(t, s, spool.Events), "aaaa", "cccc")
	if l.damaged != 1 {
		t.Errorf("%d counted", l.damaged)
	}
}

func TestEntriesCannotBeMovedOrExchanged(t *testing.T) {
	t.Parallel()
	c := cluster(t, oneKey)
	write := func(entries ...string) []byte {
		dir := t.TempDir()
		s := open(t, dir, c, &lost{})
		appendAll(t, s, spool.Events, entries...)
		_ = s.Close()
		text, err := os.ReadFile(files(t, dir)[0])
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	one, other := write("aaaa", "bbbb"), write("cccc", "dddd")
	swapped := slices.Concat(one[:24], one[48:72], one[24:48])
	foreign := slices.Concat(one[:24], other[24:])
	records := slices.Clone(one)
	records[5] = byte(spool.Records)
	for what, text := range map[string][]byte{"swapped": swapped, "of another segment": foreign, "of another kind": records} {
		_, entries, damaged, err := spool.Read(text, c)
		if len(entries) != 0 || damaged != 2 || err != nil {
			t.Errorf("%s: got %q, %d damaged, %v", what, entries, damaged, err)
		}
	}
}

func TestAFullSpoolLetsTheOldestEventsGoAndKeepsEveryRecord(t *testing.T) {
	t.Parallel()
	dir, l := t.TempDir(), &lost{}
	s := open(t, dir, cluster(t, oneKey), l) // of 1 MiB
	pad := strings.Repeat(".", 1000)
	var wrote []string
	for i := range 1500 {
		wrote = append(wrote, fmt.Sprint(i, pad))
		if err := s.Append(spool.Events, []byte(wrote[i])); err != nil {
			t.Fatal(err)
		}
		if s.Bytes() > spool.MinBytes {
			t.Fatalf("%d bytes", s.Bytes())
		}
	}
	if l.dropped == 0 || l.dropped+s.Waiting(spool.Events) != 1500 || l.dropped > 650 {
		t.Errorf("%d dropped, %d wait", l.dropped, s.Waiting(spool.Events))
	}
	records := 0
	for {
		if err := s.Append(spool.Records, []byte(fmt.Sprint(records, pad))); err != nil {
			if !errors.Is(err, spool.ErrFull) {
				t.Fatal(err)
			}
			break
		}
		records++
	}
	if err := s.Append(spool.Events, []byte(pad)); !errors.Is(err, spool.ErrFull) {
		t.Errorf("an event beside nothing but records: %v", err)
	}
	if s.Waiting(spool.Events) != 0 || records < 900 || l.droppedRecordsAtAll {
		t.Errorf("%d events left beside %d records, records dropped: %v", s.Waiting(spool.Events), records, l.droppedRecordsAtAll)
	}
	if got := drain(t, s, spool.Records); len(got) != records || got[0] != "0"+pad {
		t.Errorf("%d of %d records came back", len(got), records)
	}
	if err := s.Append(spool.Events, []byte(pad)); err != nil {
		t.Errorf("room again: %v", err)
	}
}

func TestEventsThatAreBeingReplayedAreNotDropped(t *testing.T) {
	t.Parallel()
	l := &lost{}
	s := open(t, t.TempDir(), cluster(t, oneKey), l)
	appendAll(t, s, spool.Events, "first")
	b, err := s.Next(spool.Events)
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		if err := s.Append(spool.Events, []byte(strings.Repeat(".", 1000))); err != nil {
			t.Fatal(err)
		}
	}
	again, err := s.Next(spool.Events)
	if err != nil || string(again.Entries[0]) != "first" {
		t.Errorf("got %v, %v", again, err)
	}
	if err := s.Settle(b); err != nil {
		t.Error(err)
	}
	if err := s.Settle(again); err != nil {
		t.Errorf("settled twice: %v", err)
	}
}

func TestTheKeyBeforeARotationStillOpensAndAForeignOneSetsAside(t *testing.T) {
	t.Parallel()
	dir, l := t.TempDir(), &lost{}
	s := open(t, dir, cluster(t, oneKey), l)
	appendAll(t, s, spool.Records, "old")
	_ = s.Close()
	s = open(t, dir, cluster(t, otherKey+"\n"+oneKey), l)
	appendAll(t, s, spool.Records, "new")
	if b, err := s.Next(spool.Records); err != nil || string(b.Entries[0]) != "old" {
		t.Fatalf("got %v, %v", b, err)
	}
	_ = s.Close()
	s = open(t, dir, cluster(t, otherKey), l) // the rotation is over
	same(t, "records", drain(t, s, spool.Records), "new")
	if len(l.unreadable) != 1 || !strings.HasSuffix(l.unreadable[0], ".spool.unreadable") {
		t.Fatalf("set aside: %v", l.unreadable)
	}
	if _, err := os.Stat(l.unreadable[0]); err != nil {
		t.Error(err)
	}
}

func TestASpoolHasOneProcess(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), cluster(t, oneKey)
	s := open(t, dir, c, &lost{})
	if _, err := spool.Open(dir, 0, c, spool.Observer{}); !errors.Is(err, dirlock.ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
	_ = s.Close()
	if err := s.Append(spool.Events, nil); !errors.Is(err, spool.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := s.Append(spool.Events, make([]byte, spool.MaxEntry+1)); !errors.Is(err, spool.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
}

func TestStrangeFilesStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	dir, c, l := t.TempDir(), cluster(t, oneKey), &lost{}
	for name, text := range map[string]string{"notes.spool": "x", "events-zz.spool": "x", "events-0000000000000007.spool": "short"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir, c, l)
	appendAll(t, s, spool.Events, "e")
	same(t, "events", drain(t, s, spool.Events), "e")
	if len(l.unreadable) != 1 || len(files(t, dir)) != 2 {
		t.Errorf("set aside %v, left %v", l.unreadable, files(t, dir))
	}
}

func TestManyMayAppendAndSyncAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), cluster(t, oneKey), &lost{})
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := range 200 {
				if err := s.Append(spool.Records, fmt.Appendf(nil, "%d.%d%s", w, i, strings.Repeat(".", 300))); err != nil {
					t.Error(err)
				}
				if err := s.Sync(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := map[string]bool{}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	for finished := false; ; {
		for _, e := range drain(t, s, spool.Records) {
			seen[e] = true
		}
		if finished {
			break
		}
		select {
		case <-done:
			finished = true
		default:
		}
	}
	if len(seen) != 1600 {
		t.Errorf("%d of 1600 came back", len(seen))
	}
}

// The kernel tells of a failure once. Whoever waited for the same fsync(2) must
// not take the next one's success for its own.
func TestAFailureOfTheDiskIsToldToAllWhoWaitForIt(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), cluster(t, oneKey), &lost{})
	calls, busy, proceed := 0, make(chan struct{}), make(chan struct{}) // calls: one fsync at a time
	s.Disk(func(f *os.File) error {
		switch calls++; calls {
		case 1:
			close(busy)
			<-proceed
		case 2:
			return errors.Join(f.Sync(), errors.New("the disk is broken"))
		}
		return f.Sync()
	})
	told := make(chan error, 3)
	keep := func(e string) { told <- s.Keep(spool.Records, []byte(e)) }
	go keep("first")
	<-busy
	go keep("second")
	go keep("third")
	for s.Waiting(spool.Records) < 3 { // then the next fsync covers two
		runtime.Gosched()
	}
	close(proceed)
	bad := 0
	for range 3 {
		if err := <-told; err != nil {
			bad++
		}
	}
	if bad != 2 {
		t.Errorf("%d hear that the disk failed, want the two that waited for it", bad)
	}
	if err := s.Keep(spool.Records, []byte("fourth")); err != nil {
		t.Errorf("the disk works again: %v", err)
	}
	if err := s.Sync(); err != nil {
		t.Errorf("nothing waits: %v", err)
	}
	if got := drain(t, s, spool.Records); len(got) != 4 {
		t.Errorf("%q came back: what failed may be there after all", got)
	}
}

// TestASpoolIsAQueue compares a spool with the list that it stands for, over
// appends, replays that are and are not settled, and restarts.
func TestASpoolIsAQueue(t *testing.T) {
	t.Parallel()
	c := cluster(t, oneKey)
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		s, err := spool.Open(dir, 0, c, spool.Observer{})
		if err != nil {
			rt.Fatal(err)
		}
		var want []string
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "step") {
			case 0, 1:
				e := rapid.StringN(0, 40, 40).Draw(rt, "entry")
				if err := s.Append(spool.Events, []byte(e)); err != nil {
					rt.Fatal(err)
				}
				want = append(want, e)
			case 2:
				b, err := s.Next(spool.Events)
				if err != nil || (b == nil) != (len(want) == 0) {
					rt.Fatalf("got %v, %v with %d waiting", b, err, len(want))
				}
				if b == nil || !rapid.Bool().Draw(rt, "settled") {
					continue
				}
				for i, e := range b.Entries {
					if string(e) != want[i] {
						rt.Fatalf("entry %d is %q, want %q", i, e, want[i])
					}
				}
				want = want[len(b.Entries):]
				if err := s.Settle(b); err != nil {
					rt.Fatal(err)
				}
			default:
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
				if s, err = spool.Open(dir, 0, c, spool.Observer{}); err != nil {
					rt.Fatal(err)
				}
			}
			if s.Waiting(spool.Events) != len(want) {
				rt.Fatalf("%d wait, want %d", s.Waiting(spool.Events), len(want))
			}
		}
		_ = s.Close()
	})
}

// goldenSegment is a segment of the entries "one" and "two", as version 1 writes it.
// Its salt is random, so it was written once and stays.
const goldenSegment = "testdata/segment-v1.bin"

func TestSegmentsOfVersion1AreStillRead(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(goldenSegment)
	if err != nil {
		t.Fatal(err)
	}
	kind, entries, damaged, err := spool.Read(text, cluster(t, oneKey))
	if kind != spool.Events || damaged != 0 || err != nil || len(entries) != 2 || string(entries[0]) != "one" || string(entries[1]) != "two" {
		t.Errorf("got %v of %q, %d damaged, %v", kind, entries, damaged, err)
	}
}

func FuzzRead(f *testing.F) {
	c := cluster(f, oneKey)
	whole, err := os.ReadFile(goldenSegment)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add(append(slices.Clone(whole), make([]byte, 100)...))
	f.Add(append(slices.Clone(whole), 0xff, 0xff, 0xff, 0xff))
	f.Add([]byte("PBSP"))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, entries, damaged, err := spool.Read(text, c)
		if err != nil && !errors.Is(err, spool.ErrUnreadable) {
			t.Errorf("%v", err)
		}
		if len(text) >= 24 && bytes.Equal(text[:24], whole[:24]) {
			for i, e := range entries { // nobody can write an entry of ours without the key
				if want := []string{"one", "two"}; i >= 2 || !slices.Contains(want, string(e)) {
					t.Errorf("entry %d is %q", i, e)
				}
			}
		} else if len(entries) > 0 {
			t.Errorf("%d entries of a segment that was never written", len(entries))
		}
		if damaged < 0 || damaged > len(text) {
			t.Errorf("%d damaged", damaged)
		}
	})
}

func BenchmarkAppendWithoutSync(b *testing.B) {
	s, err := spool.Open(b.TempDir(), 1<<30, cluster(b, oneKey), spool.Observer{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	entry := make([]byte, 1200)
	b.SetBytes(int64(len(entry)))
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Append(spool.Events, entry); err != nil {
			b.Fatal(err)
		}
	}
}
