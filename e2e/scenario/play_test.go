package scenario_test

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"patchbay/actors/call"
	"patchbay/control"
	"patchbay/e2e/rig"
)

// A play is one run of a script.
type play struct {
	bed         *bed
	s           script
	way         way
	seed        uint64
	uri         string
	name, names string // that servers were given, and its URI
	parties     map[string]*party
	placed      map[string]call.ID // by the party's name
	live        map[string]call.ID // calls of the parties', once they were looked for
	trunks      []string           // that were made for it
}

// run plays the script and returns the calls that must have records.
func (b *bed) run(s script, w way, seed uint64) (done []played, err error) {
	p := &play{bed: b, s: s, way: w, seed: seed, parties: map[string]*party{}, placed: map[string]call.ID{}, live: map[string]call.ID{}}
	defer p.close()
	if err := p.open(); err != nil {
		return nil, err
	}
	for _, st := range s.steps {
		if err := p.step(st); err != nil {
			return nil, fmt.Errorf("line %d: %w%s", st.line, err, p.network())
		}
	}
	for name, want := range s.wants {
		c := played{script: s.name, way: w.name, seed: seed, want: want, id: p.placed[name]}
		if k := p.parties[name]; k != nil {
			c.callID = k.callID
		}
		done = append(done, c)
	}
	return done, nil
}

// trunk makes a trunk that is a party, for as long as the play lasts: an account
// may have so many.
func (p *play) trunk(k *party) (string, error) {
	id, err := p.bed.trunk(netip.MustParseAddrPort(k.phone.Self()), k.phone.Over())
	if err == nil {
		p.trunks = append(p.trunks, id)
	}
	return id, err
}

// open finds or makes whom the script calls.
func (p *play) open() error {
	slug := ""
	switch {
	case p.s.to == "":
		return nil
	case p.s.to == "missing":
		slug = "e2e-abcdefghjkmnpqrstuvwxyz23"
	case p.s.spec != nil:
		spec, err := p.transferring(p.s.spec)
		if err != nil {
			return err
		}
		ep, err := p.bed.endpoint(p.bed.agents[p.s.to], spec)
		if err != nil {
			return err
		}
		slug = ep
	default:
		slug = p.bed.slugs[p.s.to]
	}
	p.uri = p.bed.Edges[0].URI(slug)
	return nil
}

func (p *play) close() {
	for _, k := range p.parties {
		p.bed.count(p.way, k.phone)
		k.phone.Close()
		if k.media != nil {
			k.media.Close()
		}
	}
	for _, id := range p.trunks {
		_ = p.bed.Op.Try("trunk", "delete", control.ID{ID: id}, nil) // the play has ended as it has
	}
}

// network says what the relays did.
func (p *play) network() string {
	var all []string
	for name, k := range p.parties {
		if r := k.phone.Network(); r != nil {
			all = append(all, fmt.Sprintf("relay %q: %d lost, %d doubled, %d late", name, r.Lost.Load(), r.Twice.Load(), r.Late.Load()))
		}
	}
	if all == nil {
		return ""
	}
	return " (" + strings.Join(all, "; ") + ")"
}

// party is the call of that name, a new one where there is none.
func (p *play) party(name string) (*party, error) {
	if k := p.parties[name]; k != nil {
		return k, nil
	}
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, p.s.name, p.seed, len(p.parties)) // never fails
	open := p.way.phone
	if slices.ContainsFunc(p.s.steps, func(st step) bool { return st.verb == "place" && slices.Contains(st.args, "long") }) {
		open = p.way.twofold
	}
	if name == stranger {
		open = p.way.stranger
	}
	phone, err := open(p.bed, p.seed, h.Sum64()|1)
	if err != nil {
		return nil, err
	}
	k := newParty(phone, p.uri)
	p.parties[name] = k
	if slices.ContainsFunc(p.s.steps, step.withAudio) {
		k.media, err = rig.NewMedia(k.host())
	}
	return k, err
}

func (p *play) step(st step) error {
	k, err := p.party(st.party)
	if err != nil {
		return err
	}
	st.headers = slices.Clone(st.headers)
	for i, h := range st.headers {
		if h, err = p.others(h); err != nil {
			return err
		}
		st.headers[i] = strings.NewReplacer("{self}", k.at(), "{rseq}", k.last.Header("RSeq")).Replace(h)
	}
	switch st.verb {
	case ">":
		return k.says(st)
	case "<":
		return k.hears(st)
	case "place":
		return p.place(k, st)
	case "operator":
		return p.operate(k, st)
	case "keys", "tones", "heard":
		return k.plays(st)
	case "agent":
		return p.agent(k, st)
	case "unheard":
		return p.unheard(k, st)
	case "event":
		return p.event(k, st)
	case "wait":
		d, err := time.ParseDuration(st.args[0])
		time.Sleep(d) // real: what the script does not do meanwhile is its point
		return err
	case "copies":
		return k.copies(st)
	case "quiet":
		return k.quiet(st)
	}
	return k.examine(st)
}

// others puts into a header field where party b is reached, and the first call's
// dialog as Replaces names it (RFC 3891).
func (p *play) others(h string) (string, error) {
	if strings.Contains(h, "{b}") {
		b, err := p.party("b")
		if err != nil {
			return "", err
		}
		h = strings.ReplaceAll(h, "{b}", b.at())
	}
	if strings.Contains(h, "{dialog}") {
		a, err := p.party("")
		if err != nil {
			return "", err
		}
		ours, theirs := rig.Response("To: "+a.remote), rig.Response("To: "+a.local)
		h = strings.ReplaceAll(h, "{dialog}", a.callID+";to-tag="+ours.ToTag()+";from-tag="+theirs.ToTag())
	}
	return h, nil
}

// says sends what a row says: "BYE", or "200 BYE" to answer one.
func (k *party) says(st step) error {
	if _, err := strconv.Atoi(st.args[0]); err == nil {
		if len(st.args) < 2 {
			return fmt.Errorf("%s: of which request", st.args[0])
		}
		return k.answer(st.args[0], st.args[1], st.args[2:], st.headers)
	}
	if st.args[0] == "ACK" {
		return k.ack(st.args[1:], st.headers)
	}
	k.ask(st.args[0], st.args[1:], st.headers)
	return nil
}

// hears waits for what a row says: "BYE", "200 BYE", or "1xx INVITE" for whatever
// provisional response comes.
func (k *party) hears(st step) error {
	word := st.args[0]
	status, err := strconv.Atoi(strings.Replace(word, "1xx", "1", 1))
	if err != nil {
		return k.requested(word)
	}
	method := st.args[1]
	x := k.asked[method]
	if x == nil {
		return fmt.Errorf("no %s was sent", method)
	}
	m, err := x.Await(status)
	if err == nil {
		k.answered(method, m)
	}
	return err
}

// requested waits for a request of the node's.
func (k *party) requested(method string) error {
	if method == "ACK" {
		m, err := k.phone.Acked(k.came["INVITE"], k.tag)
		k.last = m
		return err
	}
	m, err := k.phone.Await(method)
	if err == nil {
		k.called(m)
	}
	return err
}

// copies waits for further copies of a response: "copies 3 200 INVITE".
func (k *party) copies(st step) error {
	n, err := strconv.Atoi(st.args[0])
	for i := 0; i < n && err == nil; i++ {
		err = k.hears(step{args: st.args[1:]})
	}
	return err
}

// quiet fails where a request comes within a time.
func (k *party) quiet(st step) error {
	d, err := time.ParseDuration(st.args[0])
	if err != nil {
		return err
	}
	if m, came := k.phone.Next(d); came {
		return fmt.Errorf("there came %q", m.Line())
	}
	return nil
}

// examine looks into what came last: has Reason: cause=16, lacks Reason, body
// a=sendrecv, version 2 of its o= line.
func (k *party) examine(st step) error {
	name := strings.TrimSuffix(st.args[0], ":")
	text := strings.Join(st.args[1:], " ")
	all := strings.Join(k.last.All(name), ", ")
	switch {
	case st.verb == "has" && !strings.Contains(all, text):
		return fmt.Errorf("%s is %q, want %q in it", name, all, text)
	case st.verb == "lacks" && all != "":
		return fmt.Errorf("%s is %q, want none", name, all)
	case st.verb == "version":
		_, origin, _ := strings.Cut(string(k.last), "\r\no=")
		if words := strings.Fields(origin); len(words) < 3 || words[2] != st.args[0] {
			return fmt.Errorf("want version %s in the o= line of\n%s", st.args[0], k.last)
		}
	case st.verb == "body" && !strings.Contains(string(k.last), strings.Join(st.args, " ")):
		return fmt.Errorf("want %q in\n%s", strings.Join(st.args, " "), k.last)
	}
	return nil
}
