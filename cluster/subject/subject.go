package subject

import (
	"hash/fnv"
	"strconv"
	"strings"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// Prefix starts every subject of version 1 of the protocol.
const Prefix = "pb.v1."

// Queue groups.
const (
	Deciders = "deciders" // owners and other deciders of INVITEs
	Edges    = "edges"    // edges that share a transport
	Workers  = "workers"  // agents' workers
	Callout  = "callout"  // control nodes that are asked who a client of NATS is
	Planners = "planners" // control nodes that are asked how a transfer's target is called
)

// Wildcards that nodes subscribe to.
const (
	InviteOwners = Prefix + "invite.p.*" // of all partitions: permissions
	InviteAny    = Prefix + "invite.any"
	RulingOwners = Prefix + "verdict.p.*"
	RulingAny    = Prefix + "verdict.any"
	ExplainAll   = Prefix + "explain.p.*"
	ExplainAny   = Prefix + "explain.any"
	TransferAny  = Prefix + "transfer.any"
	FindAll      = Prefix + "call.find.*"
	DoAll        = Prefix + "call.*.do"
	AgentDoAll   = Prefix + "agent.*.call.*.do"
	BeatAll      = Prefix + "beat.*.*"
	HeartbeatAll = Prefix + "agent.*.hb"
	SyncAll      = Prefix + "sync.>"
	EventAll     = Prefix + "evt.>" // subjects of the EVENTS stream
	RecordAll    = Prefix + "rec.*" // subjects of the RECORDS stream

	RecordIndexAll = Prefix + "recof.*.*" // subjects of the RECORD_INDEX stream
)

// EventShards is how many shards the EVENTS stream's subjects have.
const EventShards = 16

// invites saves an allocation on the path of every INVITE.
var invites = func() (s [endpoint.Partitions]string) {
	for k := range s {
		s[k] = Prefix + "invite.p." + strconv.Itoa(k)
	}
	return s
}()

// Invite is where the owner of a partition is asked for a verdict.
func Invite(partition uint8) string { return invites[partition] }

// Led is where the owner of a partition is asked for a verdict on an INVITE to
// a number that leads to one of its endpoints.
func Led(partition uint8) string { return Prefix + "number.p." + strconv.Itoa(int(partition)) }

// Ruling is where the owner of a partition is asked who answers a call that
// waits for its endpoint's owner.
func Ruling(partition uint8) string { return Prefix + "verdict.p." + strconv.Itoa(int(partition)) }

// Explain is where the owner of a partition explains what it would decide.
func Explain(partition uint8) string { return Prefix + "explain.p." + strconv.Itoa(int(partition)) }

// Intake is where a media node takes calls and CANCELs.
func Intake(slot call.Slot) string { return ofSlot(slot, ".intake") }

// InDialog is where a media node takes in-dialog requests and responses.
func InDialog(slot call.Slot) string { return ofSlot(slot, ".sip") }

// Command is where a media node takes operators' commands.
func Command(slot call.Slot) string { return ofSlot(slot, ".cmd") }

// Find asks every media node for a call; only the one that holds it answers.
func Find(id call.ID) string { return Prefix + "call.find." + id.String() }

// CallEvents carries one call's events out.
func CallEvents(id call.ID) string { return Prefix + "call." + id.String() + ".evt" }

// CallDo takes commands of a call's agent.
func CallDo(id call.ID) string { return Prefix + "call." + id.String() + ".do" }

// AgentEvents carries one call's events out to its agent alone.
func AgentEvents(agent string, id call.ID) string {
	return Prefix + "agent." + Token(agent) + ".call." + id.String() + ".evt"
}

// AgentDo takes commands of a call's agent, from its agent alone.
func AgentDo(agent string, id call.ID) string {
	return Prefix + "agent." + Token(agent) + ".call." + id.String() + ".do"
}

// CommandOf reads CallDo and AgentDo: agent is "" of the former.
func CommandOf(subject string) (agent string, id call.ID, err error) {
	words, of := strings.TrimSuffix(strings.TrimPrefix(subject, Prefix), ".do"), ""
	if rest, ok := strings.CutPrefix(words, "agent."); ok {
		of, words, _ = strings.Cut(rest, ".")
	}
	id, err = call.ParseID(strings.TrimPrefix(words, "call."))
	return of, id, err
}

// Send is where one edge takes messages for its flows.
func Send(edge string) string { return Prefix + "edge." + Token(edge) + ".send" }

// SendAny is where any edge of a transport takes messages for an address.
func SendAny(t call.Transport) string { return Prefix + "edge.out." + Token(string(t)) }

// Beat is a node's heartbeat in one of its roles.
func Beat(role, node string) string { return Prefix + "beat." + Token(role) + "." + Token(node) }

// Offer is where an agent's workers take offers.
func Offer(agent string) string { return Prefix + "agent." + Token(agent) + ".offer" }

// Heartbeat is where an agent's workers say how they are.
func Heartbeat(agent string) string { return Prefix + "agent." + Token(agent) + ".hb" }

// Worker is where one worker of an agent takes what only it must hear: verb is
// cancel, for instance.
func Worker(agent, worker, verb string) string {
	return Prefix + "agent." + Token(agent) + ".w." + Token(worker) + "." + Token(verb)
}

// Sync asks deciders whether they know a revision of an endpoint.
func Sync(partition uint8) string { return Prefix + "sync.p." + strconv.Itoa(int(partition)) }

// SyncAny asks deciders whether they know a revision of an account or agent.
func SyncAny() string { return Prefix + "sync.any" }

// Event is one event of the EVENTS stream. The type's dots make tokens, so
// that a consumer can ask for "call.*".
func Event(shard uint8, tenant, kind string) string {
	return Prefix + "evt." + strconv.Itoa(int(shard)) + "." + Token(tenant) + "." + tokens(kind)
}

// EventShard is the shard of a tenant's events.
func EventShard(tenant string) uint8 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(tenant))
	return uint8(h.Sum32() % EventShards)
}

// Record is where one call's record is published, once.
func Record(id call.ID) string { return Prefix + "rec." + id.String() }

// RecordOf is where one call's record is entered into the index of its tenant's
// records, once.
func RecordOf(tenant string, id call.ID) string {
	return Prefix + "recof." + Token(tenant) + "." + id.String()
}

// RecordsOf matches the index of one tenant's records.
func RecordsOf(tenant string) string { return Prefix + "recof." + Token(tenant) + ".*" }

// IsInbox reports whether an answer may go to a subject. Whoever asks names it,
// and NATS looks at the permissions of whoever answers, which reach further: into
// buckets and streams, and to other nodes' doors.
func IsInbox(reply string) bool { return strings.HasPrefix(reply, "_INBOX") }

// Control is one operation of the control service.
func Control(tenant, noun, verb string) string {
	return Prefix + "ctl." + Token(tenant) + "." + Token(noun) + "." + Token(verb)
}

func ofSlot(slot call.Slot, verb string) string {
	b := make([]byte, 0, 32)
	b = append(b, Prefix+"call."...)
	b = strconv.AppendUint(b, uint64(slot), 10)
	return string(append(b, verb...))
}

// Token returns s as one token of a subject: every character but ASCII letters,
// digits, hyphen and underscore becomes an underscore; an empty name becomes
// one underscore.
func Token(s string) string { return clean(s, 0) }

// tokens is Token for names whose dots are meant.
func tokens(s string) string { return clean(s, '.') }

func clean(s string, keep byte) string {
	for i := range len(s) {
		if !plain(s[i]) && s[i] != keep {
			return replaced(s, keep)
		}
	}
	if s == "" {
		return "_"
	}
	return s
}

func replaced(s string, keep byte) string {
	b := []byte(s)
	for i, c := range b {
		if !plain(c) && (keep == 0 || c != keep) {
			b[i] = '_'
		}
	}
	return string(b)
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
