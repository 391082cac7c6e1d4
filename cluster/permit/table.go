// Package permit is the table of who may publish, hear, read and write what
// on NATS. The brokers' permissions, the configuration for a NATS of
// the operator's own, and docs/permissions.md are all made of it.
//
// It decides what a role has; a process with several roles has the union. It
// refuses all that the table does not name. What NATS cannot express is left to
// other means: an edge's credential does not say which edge it is, and whoever
// may ask JetStream for one kind of message may have it sent to any subject.
package permit

import "patchbay/cluster/subject"

// A Role is a column of the table: a part of a process, or somebody outside.
type Role string

// Roles. The first five are a process's; their words are part of credentials
// and never change.
const (
	Edge     Role = "edge"
	Actor    Role = "actor"
	Media    Role = "media"
	Control  Role = "control"
	Broker   Role = "broker"   // a node whose only role it is
	Operator Role = "operator" // who runs patchbay ctl for every tenant, and makes backups
	Tenant   Role = "tenant"   // one tenant's own programs
	Worker   Role = "worker"   // the workers of one agent
	Key      Role = "key"      // a tenant's program that shows an API key: of this column, what the key's scopes allow
	Server   Role = "server"   // a NATS server itself
)

// own stands for the name of the tenant or agent whose credential it is.
const own = "{own}"

// A Row is one subject.
type Row struct {
	Subject    string // without the prefix pb.v1., unless it begins with $
	Answered   bool   // those who hear it answer
	Publishers []Role
	Hearers    []Role
	What       string
}

// nodes are the roles of processes that take part in calls.
var nodes = []Role{Edge, Actor, Media, Control}

// Subjects are the rows of messages between processes.
var Subjects = []Row{
	{"invite.p.*", true, []Role{Edge}, []Role{Actor}, "an INVITE or CANCEL, to the owner of its partition"},
	{"invite.any", true, []Role{Edge}, []Role{Actor}, "the same, to any decider"},
	{"number.p.*", true, []Role{Actor}, []Role{Actor}, "an INVITE to a number, to the owner of the endpoint that it leads to"},
	{"explain.p.*", true, []Role{Control}, []Role{Actor}, "what would be decided, and why, to the owner of a partition"},
	{"explain.any", true, []Role{Control}, []Role{Actor}, "the same, to any decider"},
	{"verdict.p.*", true, []Role{Media}, []Role{Actor}, "who answers a call that waits for its owner's webhook"},
	{"verdict.any", true, []Role{Media}, []Role{Actor}, "the same, of any decider"},
	{"transfer.any", true, []Role{Media}, []Role{Control}, "how the target of a transfer is called, or whose dialog a call has"},
	{"register.p.*", true, []Role{Edge}, []Role{Actor}, "a REGISTER, to the owner of its partition"},
	{"register.any", true, []Role{Edge}, []Role{Actor}, "the same, to any decider"},
	{"call.*.intake", true, []Role{Actor, Control, Media}, []Role{Media}, "an accepted INVITE or a CANCEL, to the media node of a slot"},
	{"call.*.sip", true, []Role{Edge}, []Role{Media}, "in-dialog requests and responses, to the media node of a slot"},
	{"call.find.*", true, []Role{Edge, Control}, []Role{Media}, "who holds this call?"},
	{"call.*.cmd", true, []Role{Control, Media}, []Role{Media}, "an operator's command, to the media node of a slot"},
	{"edge.*.send", true, []Role{Media, Actor}, []Role{Edge}, "bytes to send on a flow of one edge"},
	{"edge.out.*", true, []Role{Media}, []Role{Edge}, "bytes to send to an address, by any edge of a transport"},
	{"edge.ack.*", false, []Role{Edge}, []Role{Control}, "this edge knows a revision of the screen"},
	{"beat.edge.*", false, []Role{Edge}, nil, "a node's sign of life"},
	{"beat.actor.*", false, []Role{Actor}, nil, "likewise, with the partitions that the node has"},
	{"beat.media.*", false, []Role{Media}, nil, "likewise, with the calls that the node carries"},
	{"beat.control.*", false, []Role{Control}, nil, "likewise"},
	{"beat.*.*", false, nil, nodes, "all of these"},
	{"sync.>", true, []Role{Control}, []Role{Actor}, "do you know this revision of an endpoint, an account, an agent?"},
	{"node.do", true, []Role{Control}, append([]Role{Broker}, nodes...), "an operator's wish to a node"},
	{"agent." + own + ".offer", true, []Role{Media}, []Role{Worker, Key}, "a call, to the workers of an agent"},
	{"agent." + own + ".w.*.*", false, []Role{Media}, []Role{Worker, Key}, "what one worker alone must hear"},
	{"agent." + own + ".hb", false, []Role{Worker, Key}, []Role{Media}, "how a worker is"},
	{"agent." + own + ".call.*.evt", false, []Role{Media}, []Role{Worker, Key}, "events of one call of an agent"},
	{"agent." + own + ".call.*.do", true, []Role{Worker, Key}, []Role{Media}, "commands of one call's agent"},
	{"call.*.evt", false, []Role{Media}, []Role{Worker, Control}, "events of one call, whoever its agent is"},
	{"call.*.do", true, []Role{Worker}, []Role{Media}, "commands of one call's agent, whoever it is"},
	{"ctl." + own + ".*.*", true, []Role{Tenant, Operator, Control, Key}, []Role{Control}, "an operation of the control service"},
	{"ctl." + own + ".*.*.*", true, []Role{Key}, []Role{Control}, "the same, with the id of the API key that asks"},
	{"evt.*." + own + ".>", false, nil, []Role{Key}, "the tenant's events, as the stream takes them"},
	{"auth.keys", true, []Role{Broker}, []Role{Control}, "which of these API keys are still good"},
	{"$SYS.REQ.USER.AUTH", true, []Role{Server}, []Role{Broker, Control}, "who a client is, where API keys open NATS"},
	{"$SRV.>", true, []Role{Operator}, []Role{Control}, "which control services there are"},
}

// A Store is one bucket or stream.
type Store struct {
	Stream  string // of JetStream
	Subject string // what is written
	Feed    string // of it, what Follow may read; empty: nothing
	Write   []Role
	Read    []Role
	Follow  []Role // may read Feed by a consumer that is filtered to it
	What    string
}

// Stores are the rows of what JetStream keeps.
var Stores = []Store{
	{bucket(subject.BucketEndpoints), key(subject.BucketEndpoints), "screen.>", []Role{Control}, []Role{Actor, Control}, []Role{Edge}, "endpoints, accounts, agents, keys, numbers, blocked sources"},
	{bucket(subject.BucketEndpoints), key(subject.BucketEndpoints), subject.BlockAll, nil, nil, []Role{Edge}, "of these, blocked sources alone"},
	{bucket(subject.BucketCluster), key(subject.BucketCluster), "", []Role{Actor, Media}, []Role{Actor, Media, Control}, nil, "leases, claims, slots"},
	{bucket(subject.BucketCalls), key(subject.BucketCalls), "", []Role{Media}, []Role{Media}, nil, "calls, and tombstones until their record is published"},
	{bucket("bindings"), key("bindings"), "", []Role{Actor}, []Role{Actor, Media}, nil, "registered contacts"},
	{bucket(subject.BucketStats), key(subject.BucketStats), "", []Role{Actor}, []Role{Actor, Control}, nil, "totals of endpoints"},
	{subject.StreamEvents, subject.EventAll, "", []Role{Actor, Media, Control}, []Role{Control}, nil, "events of calls; of rejected ones from the actor"},
	{subject.StreamRecords, subject.RecordAll, "", []Role{Media, Control}, []Role{Media, Control}, nil, "one record for each call"},
	{subject.StreamRecordIndex, subject.RecordIndexAll, "", []Role{Media, Control}, []Role{Media, Control}, nil, "whose record each one is"},
	{subject.StreamHooks, subject.HookAll, "", []Role{Control}, []Role{Control}, nil, "what webhooks are still to hear of, and who delivers it"},
	{subject.StreamHookLog, subject.HookLogAll, "", []Role{Control}, []Role{Control}, nil, "what webhooks have heard of late, and what was given up"},
}

// makers make and change streams; the other roles of a process find them.
var makers = []Role{Control, Broker}

// finders may ask how a stream is.
var finders = []Role{Actor, Media, Control, Broker, Operator}

func bucket(name string) string { return "KV_" + name }
func key(name string) string    { return "$KV." + name + ".>" }
