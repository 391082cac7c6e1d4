package scenario_test

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors/call"
	"patchbay/cluster/subject"
	"patchbay/control"
	"patchbay/e2e/rig"
	"patchbay/internal/testkit/zone"
)

// soaked is how many scenarios are played at once at the timers of RFC 3261, where
// most of them wait.
const soaked = "32"

func TestMain(m *testing.M) {
	if os.Getenv("SOAK") != "" {
		_ = flag.Set("test.parallel", soaked) // the flag is there; the command line may say another
	}
	rig.Main(m)
}

var seedFlag = flag.Uint64("seed", 0, "seed of the relays, as a failure shows it; 0: a new one")

// A bed is a cluster with agents, and what is known of the runs on it.
type bed struct {
	*rig.Cluster
	t1       time.Duration
	agents   map[string]string // id: echo, nobody
	slugs    map[string]string
	names    *zone.Zone // server of names under rig.SecureDomain
	balancer *rig.Balancer

	within *nats.Conn // as the echo agent's workers are
	told   told
	calls  int // whose records are in order

	mu    sync.Mutex
	seen  map[string]*traffic // by the way's name
	named []string            // records of names
}

func newBed(t *testing.T, t1 time.Duration) *bed {
	t.Helper()
	if rig.Race {
		t.Skip("eight processes under the race detector miss every deadline: run this with an ordinary build")
	}
	b := &bed{t1: t1, seen: map[string]*traffic{}, names: zone.Start(t)}
	b.Cluster = rig.StartCluster(t, rig.Plan{Brokers: 1, Actors: 1, Medias: 1, Secure: true,
		Settings: rig.Settings{"sip.t1": t1.String(), "sip.allow_private_trunks": "true", "sip.dns_servers": b.names.Addr().String(),
			"sip.balancers": rig.BalancerHost, "media.first_rtp_timeout": "1m"}})
	var secure []netip.AddrPort
	for _, e := range b.Edges {
		secure = append(secure, e.TLS)
	}
	b.balancer = rig.NewBalancer(t, secure)
	b.furnish(t)
	return b
}

// newSixBed is a bed of one node that has no IPv4.
func newSixBed(t *testing.T, t1 time.Duration) *bed {
	t.Helper()
	if rig.Race {
		t.Skip("as newBed")
	}
	b := &bed{t1: t1, seen: map[string]*traffic{}, names: zone.Start(t)}
	b.Cluster = rig.Alone(t, rig.StartSix(t, rig.Settings{"sip.t1": t1.String(), "sip.allow_private_trunks": "true",
		"sip.dns_servers": b.names.Addr().String(), "media.first_rtp_timeout": "1m", "media.port_quarantine": "1s"}))
	b.furnish(t)
	return b
}

// furnish gives a bed its agents, and hears what they are told.
func (b *bed) furnish(t *testing.T) {
	t.Helper()
	b.told = told{by: map[call.ID][]string{}}
	b.within = b.Control.Within(t, b.Agent)
	if _, err := b.Op.Inside.Subscribe(subject.Prefix+"call.*.evt", b.told.take); err != nil || b.Op.Inside.Flush() != nil {
		t.Fatalf("subscribe: %v", err)
	}
	nobody := b.Op.Agent(t, "dialin", nil).ID
	b.agents = map[string]string{"echo": b.Agent, "nobody": nobody}
	b.slugs = map[string]string{"echo": b.Op.Endpoint(t, b.Agent, nil).Slug, "nobody": b.Op.Endpoint(t, nobody, nil).Slug}
}

// endpoint makes an endpoint and returns its slug.
func (b *bed) endpoint(agent string, spec rig.Fields) (string, error) {
	var view control.EndpointView
	err := b.Op.Try("endpoint", "create", rig.Fields{"slug_prefix": "e2e", "agent_id": agent, "spec": spec}, &view)
	return view.Slug, err
}

// trunk makes a trunk that knows a password, and returns its id.
func (b *bed) trunk(to netip.AddrPort, over string) (string, error) {
	var view control.TrunkView
	err := b.Op.Try("trunk", "create", rig.Fields{"spec": rig.Fields{"name": "carrier", "username": "acme", "password": "s3cret-of-the-trunk",
		"from": rig.Fields{"default": "+15550100"}, "addresses": []rig.Fields{{"host": to.Addr().String(), "port": to.Port(), "transport": over}}}}, &view)
	return view.ID, err
}

// A played run must leave its record.
type played struct {
	script, way, callID string
	seed                uint64
	id                  call.ID // of a call that was placed; 0: go by the Call-ID
	want                record
}

func (p played) String() string { return fmt.Sprintf("%s/%s -seed %d", p.way, p.script, p.seed) }

// TestEveryScenarioEndsAsWritten plays each file of testdata in each way, and has
// SIPp play those of testdata/sipp beside it.
func TestEveryScenarioEndsAsWritten(t *testing.T) {
	t.Parallel()
	b := newBed(t, 50*time.Millisecond)
	all := quick(scripts(t))
	files, slots := sippFiles(t), b.sippSlots(t)
	var calls []played
	var beside sync.WaitGroup
	beside.Go(func() { calls = b.sipp(t, files, slots, cmp.Or(*seedFlag, rand.Uint64N(1<<40))) })
	b.matrix(t, all, ways, 4, *seedFlag)
	beside.Wait()
	b.records(t, calls)
	b.left(t)
	t.Logf("%d scenarios of SIPp's; %d calls likewise", len(files), len(calls))
	b.sum(t, all)
}

// TestEveryScenarioOverIPv6 plays them against a node that has no IPv4.
func TestEveryScenarioOverIPv6(t *testing.T) {
	t.Parallel()
	b := newSixBed(t, 50*time.Millisecond)
	all := quick(scripts(t))
	b.matrix(t, all, []way{overSix}, 2, *seedFlag)
	b.left(t)
	b.sum(t, all)
}

// quick leaves the slow scenarios to make soak.
func quick(all []script) []script {
	return slices.DeleteFunc(slices.Clone(all), func(s script) bool { return s.slow })
}

// matrix plays each script so often in each way.
func (b *bed) matrix(t *testing.T, all []script, ways []way, times int, seed uint64) {
	t.Helper()
	first := seed
	if first == 0 {
		first = rand.Uint64N(1 << 40)
	}
	var mu sync.Mutex
	var done []played
	t.Run("play", func(t *testing.T) {
		for _, w := range ways {
			t.Run(w.name, func(t *testing.T) {
				t.Parallel()
				for _, s := range all {
					t.Run(s.name, func(t *testing.T) {
						t.Parallel()
						if !s.fits(w) {
							t.Skip("the scenario is of other ways")
						}
						var runs sync.WaitGroup
						for i := range s.plays(w, times) {
							runs.Go(func() {
								seed := first + uint64(i)
								calls, err := b.run(s, w, seed)
								if err != nil {
									t.Errorf("-seed %d: %v", seed, err)
								}
								mu.Lock()
								defer mu.Unlock()
								done = append(done, calls...)
							})
						}
						runs.Wait()
					})
				}
			})
		}
	})
	b.records(t, done)
	b.calls += len(done)
}

// settle is the longest wait for what a cluster does by itself after a call.
const settle = 45 * time.Second

// records waits for the record of each call, and checks that there is one and
// what it says.
func (b *bed) records(t *testing.T, all []played) {
	t.Helper()
	var records map[string][]call.Record
	byID := map[call.ID]string{}
	find := func(p played) []call.Record {
		if p.id != 0 {
			return records[byID[p.id]]
		}
		return records[p.callID]
	}
	rig.Until(t, settle, func() (string, bool) {
		var err error
		if records, err = b.Op.Records(); err != nil {
			return err.Error(), false
		}
		for sip, some := range records {
			for _, r := range some {
				byID[r.ID] = sip
			}
		}
		missing := slices.DeleteFunc(slices.Clone(all), func(p played) bool { return p.want.none || len(find(p)) > 0 })
		if len(missing) > 0 {
			time.Sleep(200 * time.Millisecond) // real: the list is long
		}
		return fmt.Sprintf("records of %v", missing), len(missing) == 0
	})
	for _, p := range all {
		got := find(p)
		switch {
		case p.want.none && len(got) == 0:
		case p.want.none || len(got) != 1:
			t.Errorf("%v: %d records: %+v", p, len(got), got)
		case got[0].Status != p.want.status || got[0].Cause.Word != p.want.cause || got[0].EndedBy != p.want.by:
			t.Errorf("%v: the record says %d %s %s, want %d %s %s", p, got[0].Status, got[0].Cause.Word, got[0].EndedBy, p.want.status, p.want.cause, p.want.by)
		}
	}
}

// left checks that nothing is.
func (b *bed) left(t *testing.T) {
	t.Helper()
	for _, n := range b.Medias {
		n.Idle(t, settle)
	}
	for _, n := range b.Nodes() {
		if found := n.Metric(rig.Panics); found != 0 {
			t.Errorf("%s contained %v panics", n.Name, found)
		}
	}
}

// TestSoakEveryScenario plays the matrix at the timers of RFC 3261 for as long as
// make soak says; its log goes into docs/faults.md.
func TestSoakEveryScenario(t *testing.T) {
	text := os.Getenv("SOAK")
	if text == "" {
		t.Skip("a soak test: make soak runs it")
	}
	lasts, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("SOAK: %v", err)
	}
	b := newBed(t, 500*time.Millisecond)
	all := scripts(t)
	began := time.Now()
	for round := uint64(1); round == 1 || time.Since(began) < lasts; round++ {
		b.matrix(t, all, ways, 4, round*1000)
		all = quick(all)
	}
	b.left(t)
	b.sum(t, scripts(t))
	t.Logf("%v at T1 = 500 ms", time.Since(began).Round(time.Second))
}

// sum logs what was played.
func (b *bed) sum(t *testing.T, all []script) {
	t.Helper()
	t.Logf("%d scenarios; %d calls, each ended as written, with one record or none as it must be", len(all), b.calls)
	for _, w := range append(slices.Clone(ways), overSix) {
		if f := b.seen[w.name]; f != nil {
			t.Logf("%s: %v", w.name, f)
		}
	}
}
