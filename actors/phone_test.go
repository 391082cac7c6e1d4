package actors_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

const t1 = 500 * time.Millisecond

// A dialog is the SIP side of a call in as few words as will do: messages are
// their methods or statuses.
type dialog struct {
	flow     call.Flow // of the latest message
	last     string    // response to the INVITE
	final    int
	end      time.Time // when nothing of it need be kept
	byeSent  bool
	sipID    string // Call-ID; "": c1
	revision uint64
	received func(message string) // nil: nobody listens
}

func (d *dialog) send(text string) []call.Output {
	return []call.Output{{Send: &call.Transmission{Flow: d.flow, Raw: []byte(text)}}}
}

func (d *dialog) Receive(now time.Time, p call.Packet) []call.Output {
	d.flow = p.Flow
	if d.received != nil {
		d.received(string(p.Raw))
	}
	news := func(kind call.EventKind, out ...call.Output) []call.Output {
		return append(out, call.Output{Event: &call.Event{Kind: kind}})
	}
	switch string(p.Raw) {
	case "REFER bob":
		return []call.Output{{Event: &call.Event{Kind: call.CarrierRefers, Referral: &call.Referral{To: "sip:bob@pbx.example", User: "bob", Host: "pbx.example",
			ReferredBy: "<sip:alice@pbx.example>"}}}}
	case "NOTIFY 180":
		return d.referred(call.ReferTold, 180)
	case "NOTIFY 200":
		return d.referred(call.ReferDone, 200)
	case "NOTIFY 486":
		return d.referred(call.ReferDone, 486)
	case "INVITE", "INVITE c2 replaces c1", "INVITE c3 replaces c2":
		return d.send(d.last)
	case "CANCEL":
		return news(call.Cancelled, d.send("200 CANCEL")...)
	case "ACK":
		if d.final >= 300 {
			d.end = now.Add(5 * time.Second) // timer I
		}
		return news(call.Acked)
	case "BYE":
		d.end = now.Add(64 * t1)
		return news(call.CarrierBye, d.send("200 BYE")...)
	case "re-INVITE sendonly", "re-INVITE sendrecv":
		_, direction, _ := strings.Cut(string(p.Raw), " ")
		return []call.Output{{Event: &call.Event{Kind: call.CarrierOffered, Offer: &call.Offer{
			Codecs: []call.Codec{{Name: "PCMU"}}, Direction: call.Direction(direction)}}}}
	case "200":
		d.end = now
		return news(call.ByeDone)
	}
	panic("the dialog does not know " + string(p.Raw))
}

func (d *dialog) Respond(now time.Time, r call.Response) []call.Output {
	if d.final != 0 {
		return nil
	}
	if r.Status >= 200 {
		d.final = r.Status
	}
	if r.Status >= 300 {
		d.end = now.Add(64 * t1)
	}
	d.last = fmt.Sprint(r.Status)
	return d.send(d.last)
}

func (d *dialog) Bye(_ time.Time, cause call.Cause) []call.Output {
	d.byeSent = true
	return d.send("BYE " + cause.Word)
}

func (d *dialog) AnswerOffer(_ time.Time, r call.Response) []call.Output {
	return d.send(fmt.Sprint(r.Status, " to re-INVITE"))
}

func (d *dialog) Wake(time.Time) []call.Output { return nil }
func (d *dialog) Snapshot() json.RawMessage {
	state, _ := json.Marshal(map[string]any{"final": d.final})
	return state
}
func (d *dialog) Revision() uint64    { return d.revision }
func (d *dialog) Deadline() time.Time { return d.end }
func (d *dialog) Done() bool          { return !d.end.IsZero() && !time.Now().Before(d.end) }

// A phone is everything around the calls of a node: the carrier's side, the
// agents and the ledger.
type phone struct {
	*actors.Calls
	mu      sync.Mutex
	sent    []string // messages that went out
	flows   []call.Flow
	events  []string
	told    []actors.CallEvent
	begun   []call.Record // as the first snapshot of each call has it
	kept    []actors.Snapshot
	gone    []actors.Farewell
	let     []call.ID // released
	records []call.Record
	bridges map[call.ID]*bridge
	dialogs map[call.ID]*dialog
	started []actors.CallStatus
	panics  int
	ids     uint64
	rule    *actors.Ruling                   // by Rulings.Ask
	refuse  func(p call.Packet) error        // by Dialogs.New
	open    func(req actors.BridgeRequest)   // by Switchboard.Open
	write   func(rec call.Record)            // by Ledger.Record
	receive func(id call.ID, message string) // by a dialog
	notify  func(id call.ID, name string)    // by a bridge
	request map[call.ID]actors.BridgeRequest
	oracles *oracles // nil: rule

	headers []call.Header   // of the INVITE, by Dialogs.New
	noPorts bool            // of Switchboard.Reserve
	out     []call.Outgoing // by Dialogs.Call
	lost    []func()        // of messages that say so
}

type bridge struct {
	phone    *phone
	id       call.ID
	post     func(call.Event)
	answered bool
	early    bool
	closed   int
	cause    call.Cause
	heard    []string
	asked    []actors.Asked // beside the first
	carriers []call.Answer  // joined
	agreed   []call.Agreement
	pressed  []string
}

func (b *bridge) Notify(name string, _ call.Event) {
	b.heard = append(b.heard, name)
	if b.phone.notify != nil {
		b.phone.notify(b.id, name)
	}
}
func (b *bridge) Ask(next actors.Asked)     { b.asked = append(b.asked, next) }
func (b *bridge) Update(a call.Agreement)   { b.agreed = append(b.agreed, a) }
func (b *bridge) Press(keys string)         { b.pressed = append(b.pressed, keys) }
func (b *bridge) Answered()                 { b.answered = true }
func (b *bridge) Snapshot() json.RawMessage { return json.RawMessage(`{"v":1}`) }
func (b *bridge) Early()                    { b.early = true }
func (b *bridge) Quality() call.Quality     { return call.Quality{PacketsReceived: 42} }
func (b *bridge) Close(cause call.Cause) {
	b.closed++
	b.cause = cause
}

func newPhone(t testing.TB, change func(*actors.CallLimits)) *phone {
	ph := &phone{bridges: map[call.ID]*bridge{}, dialogs: map[call.ID]*dialog{}, request: map[call.ID]actors.BridgeRequest{}}
	limits := actors.CallLimits{Loops: 4, Mailbox: 4096, MaxCalls: 100, AgentTimeout: 20 * time.Second, MaxDuration: time.Hour, T1: t1}
	if change != nil {
		change(&limits)
	}
	newID := func() call.ID {
		ph.mu.Lock()
		defer ph.mu.Unlock()
		ph.ids++
		return call.ID(ph.ids * 0x9e3779b97f4a7c15)
	}
	ph.Calls = actors.NewCalls("m1", limits, actors.CallPorts{Dialogs: ph, Wire: ph, Switchboard: ph, Ledger: ph, Rulings: ph, Open: openSecret}, newID, actors.CallObserver{
		HostObserver: actors.HostObserver{Panicked: func(int, any, []byte) { ph.mu.Lock(); ph.panics++; ph.mu.Unlock() }},
		Started:      func(s actors.CallStatus) { ph.mu.Lock(); ph.started = append(ph.started, s); ph.mu.Unlock() },
		Released:     func(id call.ID) { ph.mu.Lock(); ph.let = append(ph.let, id); ph.mu.Unlock() },
	})
	t.Cleanup(ph.Stop)
	return ph
}

func (ph *phone) New(_ time.Time, id call.ID, p call.Packet) (actors.Dialog, call.Invitation, error) {
	if ph.refuse != nil {
		if err := ph.refuse(p); err != nil {
			return nil, call.Invitation{}, err
		}
	}
	d := &dialog{flow: p.Flow}
	if asks := ph.Replaces(p); asks != nil {
		d.sipID = asks.CallID
	}
	if ph.receive != nil {
		d.received = func(message string) { ph.receive(id, message) }
	}
	ph.mu.Lock()
	defer ph.mu.Unlock()
	ph.dialogs[id] = d
	return d, call.Invitation{Headers: ph.headers, From: call.Party{User: "alice"}, Transport: call.UDP, Source: "203.0.113.9:5060",
		Key: call.TransactionKey{CallID: "sip-" + id.String()}}, nil
}

func (ph *phone) Transmit(tx call.Transmission) {
	ph.mu.Lock()
	defer ph.mu.Unlock()
	ph.sent = append(ph.sent, string(tx.Raw))
	ph.flows = append(ph.flows, tx.Flow)
	if tx.Lost != nil {
		ph.lost = append(ph.lost, tx.Lost)
	}
}

func (ph *phone) Open(req actors.BridgeRequest, post func(call.Event)) actors.Bridge {
	if ph.open != nil {
		ph.open(req)
	}
	ph.mu.Lock()
	defer ph.mu.Unlock()
	b := &bridge{phone: ph, id: req.ID, post: post}
	ph.bridges[req.ID], ph.request[req.ID] = b, req
	return b
}

func (ph *phone) Event(_ string, ev actors.CallEvent) {
	ph.mu.Lock()
	defer ph.mu.Unlock()
	ph.events = append(ph.events, fmt.Sprint(ev.Seq, " ", ev.Type))
	ph.told = append(ph.told, ev)
}

// Ask brings the ruling of the test, if it has one, at once.
func (ph *phone) Ask(q actors.Question, done func(actors.Ruling)) (stop func()) {
	if ph.oracles != nil {
		return ph.oracles.Ask(q, done)
	}
	if ph.rule != nil {
		done(*ph.rule)
	}
	return func() {}
}

func (ph *phone) Keep(s *actors.Snapshot) {
	ph.mu.Lock()
	defer ph.mu.Unlock()
	if !slices.ContainsFunc(ph.begun, func(r call.Record) bool { return r.ID == s.Record.ID }) {
		ph.begun = append(ph.begun, s.Record)
	}
	ph.kept = append(ph.kept, *s)
}

func (ph *phone) Farewell(f actors.Farewell) {
	ph.mu.Lock()
	defer ph.mu.Unlock()
	ph.gone = append(ph.gone, f)
}

func (ph *phone) Restore(id call.ID, state json.RawMessage, p call.Packet) (actors.Dialog, error) {
	d := &dialog{flow: p.Flow}
	var s struct {
		Final    int  `json:"final"`
		Ours     bool `json:"ours"`
		Answered bool `json:"answered"`
	}
	if err := json.Unmarshal(state, &s); err != nil {
		return nil, err
	}
	d.final = s.Final
	ph.mu.Lock()
	defer ph.mu.Unlock()
	ph.dialogs[id] = d
	if s.Ours {
		return &caller{dialog: d, answered: s.Answered}, nil
	}
	return d, nil
}

func (ph *phone) Record(rec call.Record) {
	if ph.write != nil {
		ph.write(rec)
	}
	ph.mu.Lock()
	defer ph.mu.Unlock()
	ph.records = append(ph.records, rec)
}

// job is an INVITE accepted for endpoint "ep".
func job(callID string) actors.Job {
	return actors.Job{V: 1, Key: call.TransactionKey{CallID: callID, FromTag: "f", CSeq: 1}, Branch: "z9hG4bK-" + callID,
		Tenant: "acme", Endpoint: "ep", Agent: &endpoint.Agent{ID: "bot", IsActive: true}, DecisionID: "d1",
		Packet: call.Packet{Raw: []byte("INVITE")}}
}

func cancelOf(callID string) actors.Job {
	j := job(callID)
	j.Cancel, j.Agent, j.Packet = true, nil, call.Packet{Raw: []byte("CANCEL")}
	return j
}

// ring begins a call and lets all settle.
func (ph *phone) ring(t *testing.T, callID string) call.ID {
	t.Helper()
	taken := ph.Offer(job(callID))
	if taken.Status != 0 || !taken.New {
		t.Fatalf("got %+v", taken)
	}
	synctest.Wait()
	return taken.ID
}

// answered begins a call and brings it to its ACK.
func (ph *phone) answered(t *testing.T, callID string) call.ID {
	t.Helper()
	id := ph.ring(t, callID)
	ph.bridges[id].post(call.Event{Kind: call.AgentChosen, Agent: "w1"})
	ph.bridges[id].post(call.Event{Kind: call.AgentJoined, Answer: &call.Answer{Codec: call.Codec{Name: "PCMU"}}})
	synctest.Wait()
	ph.says(t, id, "ACK")
	return id
}

// says brings a message of the carrier's.
func (ph *phone) says(t *testing.T, id call.ID, message string) {
	t.Helper()
	if err := ph.InDialog(id, call.Packet{Raw: []byte(message)}); err != nil {
		t.Fatalf("%s: %v", message, err)
	}
	synctest.Wait()
}

// log returns what was sent, in one line.
func (ph *phone) log() string {
	ph.mu.Lock()
	defer ph.mu.Unlock()
	return strings.Join(ph.sent, ", ")
}
