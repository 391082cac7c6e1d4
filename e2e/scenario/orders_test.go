package scenario_test

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors/call"
	"patchbay/cluster/subject"
	"patchbay/control"
	"patchbay/e2e/rig"
)

// place has the node call the party: by its address; "trunk", by a trunk that
// proves itself; "long", with an INVITE of more than 1300 bytes; "srv a b", by a name whose servers are the parties a and b, in
// that order, and b is the call's; "naptr a b", by one that says its transport, too;
// "again b", by the same name once the name server has forgotten it. dead stands for a server that is not there.
func (p *play) place(k *party, st step) error {
	in := control.NewCall{To: "sip:bob@" + k.at(), AgentID: p.bed.agents["echo"]}
	kind, servers := "", []string(nil)
	if len(st.args) > 0 {
		kind, servers = st.args[0], st.args[1:]
	}
	name := st.party
	switch kind {
	case "":
	case "trunk":
		id, err := p.trunk(k)
		if err != nil {
			return err
		}
		in.To, in.Trunk = "15550199", id
	case "long":
		in.Headers = []call.Header{{Name: "X-Long", Value: strings.Repeat("a", 1000)}}
	case "srv", "naptr":
		if err := p.naming(kind, servers); err != nil {
			return err
		}
		in.To, name = p.names, servers[len(servers)-1]
	case "again":
		p.bed.mu.Lock()
		p.bed.named = slices.DeleteFunc(slices.Clone(p.bed.named), func(r string) bool { return strings.Contains(r, p.name+".") })
		p.bed.names.Set(slices.Clone(p.bed.named)...) // the server keeps what it is given
		p.bed.mu.Unlock()
		in.To, name = p.names, servers[0]
	default:
		return fmt.Errorf("place %s: want nothing, trunk, long, srv or naptr and its servers, or again and the last of them", kind)
	}
	var v control.CallView
	if err := p.bed.Op.Try("call", "create", in, &v); err != nil {
		return err
	}
	p.placed[name] = v.ID
	return nil
}

// naming makes a name of some servers, and a URI of it.
func (p *play) naming(how string, servers []string) error {
	over := map[string]string{"": "udp", "tcp": "tcp", "tls": "tls"}[p.way.over]
	kind := map[string]string{"udp": "_sip._udp.", "tcp": "_sip._tcp.", "tls": "_sips._tcp."}[over]
	p.name = strings.ToLower(rand.Text()) + "." + rig.SecureDomain
	p.names = "sip:bob@" + p.name + ";transport=" + over
	records := []string{"host." + p.name + ". 60 IN A 127.0.0.1"}
	if p.way.six {
		records = []string{"host." + p.name + ". 60 IN AAAA ::1"}
	}
	if how == "naptr" {
		service := map[string]string{"udp": "SIP+D2U", "tcp": "SIP+D2T", "tls": "SIPS+D2T"}[over]
		records = append(records, fmt.Sprintf(`%s. 60 IN NAPTR 10 10 "s" %q "" %s%s.`, p.name, service, kind, p.name))
		p.names = "sip:bob@" + p.name
	}
	for i, server := range servers {
		port := uint16(9) // discard: nobody is there
		if server != "dead" {
			k, err := p.party(server)
			if err != nil {
				return err
			}
			port = netip.MustParseAddrPort(k.phone.Self()).Port()
		}
		records = append(records, fmt.Sprintf("%s%s. 60 IN SRV %d 0 %d host.%s.", kind, p.name, i, port, p.name))
	}
	p.bed.mu.Lock()
	defer p.bed.mu.Unlock()
	p.bed.named = append(p.bed.named, records...)
	p.bed.names.Set(slices.Clone(p.bed.named)...) // the server keeps what it is given
	return nil
}

// fieldsOf are header fields as control and agents name them.
func fieldsOf(lines []string) (all []rig.Fields) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		all = append(all, rig.Fields{"name": name, "value": strings.TrimSpace(value)})
	}
	return all
}

// transferring makes a transfer policy of "transfer=b": agents may have anybody
// called, through a trunk that is the party b.
func (p *play) transferring(spec rig.Fields) (rig.Fields, error) {
	name, ok := spec["transfer"].(string)
	if !ok {
		return spec, nil
	}
	k, err := p.party(name)
	if err != nil {
		return nil, err
	}
	id, err := p.trunk(k)
	own := maps.Clone(spec)
	own["transfer"] = rig.Fields{"trunk": id, "targets": []string{"*"}}
	return own, err
}

// agent does to the party's call what its agent may: "hangup", "send_dtmf
// digits=12", "transfer to=sip:a@b"; "answer" and "reject status=486" of one that
// is heard before the answer. A call that is not ready is asked again.
func (p *play) agent(k *party, st step) error {
	command := map[string]any{"id": "1", "type": st.args[0]}
	if fields := fieldsOf(st.headers); fields != nil {
		command["headers"] = fields
	}
	for _, w := range st.args[1:] {
		name, value, _ := strings.Cut(w, "=")
		if name == "replaces" {
			other, err := p.waitEstablished(value)
			if err != nil {
				return err
			}
			value = other.String()
		}
		command[name] = value
		if n, err := strconv.Atoi(value); err == nil && name == "status" {
			command[name] = n
		}
	}
	ready := call.StateEstablished
	if st.args[0] == "answer" || st.args[0] == "reject" {
		ready = call.StateEarly
	}
	raw, err := json.Marshal(command)
	if err != nil {
		return err
	}
	last := ""
	for end := time.Now().Add(rig.Patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) { // real: the node is a process
		id, err := p.ready(k, st.party, ready)
		if err != nil {
			last = err.Error()
			continue
		}
		m, err := p.bed.within.Request(subject.AgentDo(p.bed.Agent, id), raw, rig.Patience/2) // asked twice it would be refused
		if err != nil {
			last = err.Error()
			continue
		}
		if last = string(m.Data); strings.Contains(last, `"ok":true`) {
			return nil
		}
	}
	return fmt.Errorf("agent %s: %s", st.args[0], last)
}

// established finds the party's live call once its ACK is known.
func (p *play) established(k *party, name string) (call.ID, error) {
	return p.ready(k, name, call.StateEstablished)
}

// waitEstablished waits until the live call of the party of that name knows its
// ACK.
func (p *play) waitEstablished(name string) (id call.ID, err error) {
	for end := time.Now().Add(rig.Patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) { // real: the node is a process
		if id, err = p.established(p.parties[name], name); err == nil {
			return id, nil
		}
	}
	return 0, err
}

// ready finds the party's live call once it is in that state.
func (p *play) ready(k *party, name string, state call.State) (call.ID, error) {
	id, err := p.call(k, name)
	if err != nil {
		return 0, err
	}
	var v control.CallView
	if err := p.bed.Op.Try("call", "get", control.ID{ID: id.String()}, &v); err != nil {
		return 0, err
	}
	if v.State != string(state) {
		return 0, fmt.Errorf("the call is %s", v.State)
	}
	return id, nil
}

// event waits for an event that the agent of the party's call has with some text
// in it. The call must be live where it was not asked for before.
func (p *play) event(k *party, st step) error {
	text := strings.Join(st.args[1:], " ")
	var came []string
	for end := time.Now().Add(rig.Patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) { // real: the node is a process
		id, err := p.call(k, st.party)
		if err != nil {
			continue
		}
		came = p.bed.told.of(id)
		for _, raw := range came {
			if strings.Contains(raw, `"type":"`+st.args[0]+`"`) && strings.Contains(raw, text) {
				return nil
			}
		}
	}
	return fmt.Errorf("no event %s with %q came within %v, only %q", st.args[0], text, rig.Patience, came)
}

// unheard fails where the agent has heard such an event.
func (p *play) unheard(k *party, st step) error {
	id, err := p.call(k, st.party)
	if err != nil {
		return err
	}
	text := strings.Join(st.args[1:], " ")
	for _, raw := range p.bed.told.of(id) {
		if strings.Contains(raw, `"type":"`+st.args[0]+`"`) && strings.Contains(raw, text) {
			return fmt.Errorf("the agent heard %s", raw)
		}
	}
	return nil
}

// told are the events of all calls, as their agents have them.
type told struct {
	mu sync.Mutex
	by map[call.ID][]string // as JSON
}

func (b *told) take(m *nats.Msg) {
	var ev struct {
		Call string `json:"call_id"`
	}
	if json.Unmarshal(m.Data, &ev) != nil {
		return
	}
	id, err := call.ParseID(ev.Call)
	if err != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.by[id] = append(b.by[id], string(m.Data))
}

func (b *told) of(id call.ID) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.by[id])
}

// operate does to the party's call what an operator may: "hangup", "transfer
// sip:a@b", "transfer replaces=b" to the other side of the party b's call,
// "transfer 15550199 via=b mode=bridge" through a trunk that is the party b. One
// that does not know its ACK yet is tried again.
func (p *play) operate(k *party, st step) (err error) {
	in, verb := rig.Fields{}, st.args[0]
	if fields := fieldsOf(st.headers); fields != nil {
		in["headers"] = fields
	}
	for _, w := range st.args[1:] {
		if other, attended := strings.CutPrefix(w, "replaces="); attended {
			id, err := p.waitEstablished(other)
			if err != nil {
				return err
			}
			in["replaces"] = id.String()
		} else if other, bridged := strings.CutPrefix(w, "via="); bridged {
			k, err := p.party(other)
			if err != nil {
				return err
			}
			if in["trunk"], err = p.trunk(k); err != nil {
				return err
			}
		} else if name, value, set := strings.Cut(w, "="); set && !strings.Contains(name, ":") {
			in[name] = value
		} else {
			in["to"] = w
		}
	}
	for end := time.Now().Add(rig.Patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) { // real: the node is a process
		var id call.ID
		if id, err = p.call(k, st.party); err != nil {
			continue
		}
		in["id"] = id.String()
		err = p.bed.Op.Try("call", verb, in, nil)
		var refusal *control.Error
		if !errors.As(err, &refusal) || refusal.Code != control.CodeConflict && refusal.Code != control.CodeNotFound {
			return err
		}
	}
	return fmt.Errorf("%s: %w", verb, err)
}

// call finds the party's live call.
func (p *play) call(k *party, name string) (call.ID, error) {
	if id := cmp.Or(p.placed[name], p.live[name]); id != 0 {
		return id, nil
	}
	var page control.Page[control.CallView]
	if err := p.bed.Op.Try("call", "list", control.PageRequest{Limit: 200}, &page); err != nil {
		return 0, err
	}
	for _, c := range page.Items {
		if c.CallID == k.callID {
			p.live[name] = c.ID
			return c.ID, nil
		}
	}
	return 0, fmt.Errorf("the call is not listed")
}
