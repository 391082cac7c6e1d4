package cluster

import (
	"fmt"
	"strconv"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// Prefix starts every subject of version 1 of the protocol between nodes.
const Prefix = "pb.v1."

// Queue groups.
const (
	queueDeciders = "deciders" // owners and other deciders of INVITEs
	queueEdges    = "edges"
	queueWorkers  = "workers" // agents' workers
)

// Subjects between nodes: the table of design section 6, and the only place
// that builds one. They are made of numbers, node names, Keys and ids, never
// of what a caller wrote.

func subjectInvite(partition uint8) string {
	return Prefix + "invite.p." + strconv.Itoa(int(partition))
}
func subjectInviteAny() string               { return Prefix + "invite.any" }
func subjectIntake(slot call.Slot) string    { return fmt.Sprintf("%scall.%d.intake", Prefix, slot) }
func subjectInDialog(slot call.Slot) string  { return fmt.Sprintf("%scall.%d.sip", Prefix, slot) }
func subjectCommand(slot call.Slot) string   { return fmt.Sprintf("%scall.%d.cmd", Prefix, slot) }
func subjectFind(id call.ID) string          { return Prefix + "call.find." + id.String() }
func subjectCallEvents(id call.ID) string    { return Prefix + "call." + id.String() + ".evt" }
func subjectCallDo(id call.ID) string        { return Prefix + "call." + id.String() + ".do" }
func subjectSend(edge string) string         { return Prefix + "edge." + edge + ".send" }
func subjectSendAny(t call.Transport) string { return Prefix + "edge.out." + string(t) }
func subjectBeat(role, node string) string   { return Prefix + "beat." + role + "." + node }
func subjectOffer(agent string) string       { return Prefix + "agent." + agent + ".offer" }
func subjectControl(tenant, noun, verb string) string {
	return Prefix + "ctl." + tenant + "." + noun + "." + verb
}

// Keys of the endpoints bucket.

func keyEndpoint(key endpoint.Key, partition uint8) string {
	return fmt.Sprintf("ep.%d.%s", partition, key)
}
func keyAccount(tenant string) string   { return "acct." + tenant }
func keyAgent(tenant, id string) string { return "agent." + tenant + "." + id }
func keyIndex(tenant, id string) string { return "idx." + tenant + "." + id } // endpoint id -> its key
