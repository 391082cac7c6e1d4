package callout

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors/endpoint"
	"patchbay/cluster/permit"
	"patchbay/cluster/subject"
	"patchbay/internal/keys"
)

// Limits of a Doorkeeper.
const (
	lookEvery  = time.Second            // how often keys of live connections are asked about
	lookWait   = 900 * time.Millisecond // for an answer
	maxAsked   = 500                    // keys in one question
	maxKnown   = 65_536                 // connections that a key is known of; beyond it, those that are gone are forgotten first
	sweepEvery = time.Minute            // how often that is done anyway
	entering   = 2 * time.Second        // a connection is let in or closed by then
	maxPending = 4096                   // questions that wait to be looked at: beyond it the server hears nothing
)

// A keysLine asks which keys are still good, by the digests of their secrets; a
// goneLine names those that are not.
type keysLine struct {
	V    int            `json:"v"`
	Keys []endpoint.Key `json:"keys"`
}

type goneLine struct {
	V    int            `json:"v"`
	Gone []endpoint.Key `json:"gone"`
}

const version = 1

// Clients are the connections of a NATS server.
type Clients interface {
	ID() string // of the server
	Has(client uint64) bool
	Kick(client uint64) // closes it; nothing where it is gone
}

// A Doorkeeper stands beside one broker. It lets in who has a credential made of
// the cluster key, and ends the connections of API keys that are revoked,
// deleted, or have expired.
type Doorkeeper struct {
	nc      *nats.Conn
	cluster *keys.Cluster
	keys    []Keys
	clients Clients
	log     *slog.Logger

	mu    sync.Mutex
	known map[endpoint.Key]map[uint64]time.Time // connections by the digest of the key that they showed, and when
	count int
	away  bool // nobody answers about keys
	told  bool // whether they do was said
}

// OpenDoor begins to answer the server. Close it before the connection.
func OpenDoor(nc *nats.Conn, c *keys.Cluster, clients Clients, log *slog.Logger) (*Doorkeeper, error) {
	all, err := KeysOf(c)
	if err != nil {
		return nil, err
	}
	d := &Doorkeeper{nc: nc, cluster: c, keys: all, clients: clients, log: log, known: map[endpoint.Key]map[uint64]time.Time{}}
	sub, err := nc.Subscribe(Subject, d.asked)
	if err == nil {
		err = sub.SetPendingLimits(maxPending, -1)
	}
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		return nil, fmt.Errorf("answer who clients are: %w", err)
	}
	return d, nil
}

// asked looks at every server's questions, and minds its own.
func (d *Doorkeeper) asked(m *nats.Msg) {
	defer d.contain()
	r, err := open(d.keys, m)
	if err != nil || r.Server != d.clients.ID() {
		return
	}
	who, ok := r.derived()
	if !ok {
		if r.Secret != "" {
			d.note(endpoint.SecretDigest(r.Secret), r.Client)
		}
		return // the Responder's
	}
	var answer []byte
	if oneOf(permit.Passwords(d.cluster, who), r.Secret) {
		answer, err = r.admit(Pass{Name: who.String(), May: permit.For(who)})
	} else {
		answer, err = r.refuse(wrong)
	}
	if err == nil {
		err = m.Respond(answer)
	}
	if err != nil {
		d.log.Warn("a NATS client got no answer", "err", err)
	}
}

// wrong is why a client is turned away, whatever is wrong with its secret.
const wrong = "the credential is not good"

// oneOf compares in a time that tells nothing about the passwords.
func oneOf(passwords []string, given string) bool {
	same := 0
	for _, p := range passwords {
		same |= subtle.ConstantTimeCompare([]byte(p), []byte(given))
	}
	return same == 1
}

// note remembers by which key a connection came, if it comes in at all.
func (d *Doorkeeper) note(key endpoint.Key, client uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.count >= maxKnown {
		d.sweep()
	}
	if d.count >= maxKnown {
		d.clients.Kick(client) // who is not watched is not let in
		return
	}
	of := d.known[key]
	if of == nil {
		of = map[uint64]time.Time{}
		d.known[key] = of
	}
	if _, ok := of[client]; !ok {
		d.count++
	}
	of[client] = time.Now()
}

// sweep forgets connections that are gone.
func (d *Doorkeeper) sweep() {
	for key, of := range d.known {
		for client := range of {
			if !d.clients.Has(client) {
				delete(of, client)
				d.count--
			}
		}
		if len(of) == 0 {
			delete(d.known, key)
		}
	}
}

// Run ends connections whose key is no longer good, until ctx ends.
func (d *Doorkeeper) Run(ctx context.Context) {
	look, sweep := time.NewTicker(lookEvery), time.NewTicker(sweepEvery)
	defer look.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-look.C:
			d.look(ctx)
		case <-sweep.C:
			d.mu.Lock()
			d.sweep()
			d.mu.Unlock()
		case <-ctx.Done():
			return
		}
	}
}

// look asks about all keys; with none it asks all the same, to know that it
// could.
func (d *Doorkeeper) look(ctx context.Context) {
	defer d.contain()
	d.mu.Lock()
	all := make([]endpoint.Key, 0, len(d.known))
	for key := range d.known {
		all = append(all, key)
	}
	d.mu.Unlock()
	for first := true; first || len(all) > 0; first = false {
		part := all[:min(len(all), maxAsked)]
		all = all[len(part):]
		gone, err := d.ask(ctx, part)
		d.tell(ctx, err)
		if err != nil {
			return
		}
		for _, key := range gone {
			d.end(key)
		}
	}
}

func (d *Doorkeeper) ask(ctx context.Context, all []endpoint.Key) ([]endpoint.Key, error) {
	ctx, cancel := context.WithTimeout(ctx, lookWait)
	defer cancel()
	body, err := json.Marshal(keysLine{version, all})
	if err != nil {
		return nil, err
	}
	m, err := d.nc.RequestWithContext(ctx, subject.AuthKeys, body)
	if err != nil {
		return nil, err
	}
	var l goneLine
	if err := json.Unmarshal(m.Data, &l); err != nil || l.V != version {
		return nil, fmt.Errorf("answer about keys, version %d: not understood", l.V)
	}
	return l.Gone, nil
}

// tell logs when control nodes go, and when they are back.
func (d *Doorkeeper) tell(ctx context.Context, err error) {
	away := err != nil
	switch {
	case ctx.Err() != nil || d.told && away == d.away:
		return
	case away:
		d.log.Warn("no control node answers: programs with API keys cannot connect, and revoked keys stay connected", "err", err)
	case d.told:
		d.log.Info("a control node answers: programs with API keys can connect")
	}
	d.away, d.told = away, true
}

// end closes every connection of a key, once it is in: one that is not yet hears
// why.
func (d *Doorkeeper) end(key endpoint.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	ended := 0
	for client, since := range d.known[key] {
		if time.Since(since) < entering {
			continue
		}
		if d.clients.Has(client) {
			d.clients.Kick(client)
			ended++
		}
		delete(d.known[key], client)
		d.count--
	}
	if len(d.known[key]) == 0 {
		delete(d.known, key)
	}
	if ended > 0 {
		d.log.Info("connections of an API key ended: it is no longer good", "count", ended)
	}
}

// contain makes a panic cost one message.
func (d *Doorkeeper) contain() {
	if p := recover(); p != nil {
		d.log.Error("who clients are: panicked", "err", fmt.Sprintf("%T", p)) // what it says may hold a secret
	}
}
