package subject

import "strconv"

// Streams of what is sent to webhooks.
const (
	StreamHooks   = "HOOKS"    // what waits
	StreamHookLog = "HOOK_LOG" // what was delivered of late, and given up
)

// Subjects of these streams, all of them.
const (
	HookAll    = Prefix + "hook.>"
	HookLogAll = Prefix + "hooklog.*.*.*"
)

// EventsOf matches the events of a shard.
func EventsOf(shard uint8) string { return Prefix + "evt." + strconv.Itoa(int(shard)) + ".>" }

// HookMember is a node that delivers, while it lives; HookMembers matches all.
func HookMember(node string) string { return Prefix + "hook.node." + Token(node) }

// HookMembers matches the nodes that deliver.
const HookMembers = Prefix + "hook.node.*"

// HookMark says how far the events of a shard are taken up, and by whom.
func HookMark(shard uint8) string { return hookShard(shard) + "mark" }

// HookMarks matches the marks of all shards.
const HookMarks = Prefix + "hook.s.*.mark"

// HookShard matches all that is kept of a shard.
func HookShard(shard uint8) string { return hookShard(shard) + ">" }

// HookDue is one delivery that waits.
func HookDue(shard uint8, target, delivery string) string {
	return hookShard(shard) + "due." + Token(target) + "." + Token(delivery)
}

// HookDueOf matches the deliveries that wait for one target: of any tenant that
// has one of this name.
func HookDueOf(shard uint8, target string) string {
	return hookShard(shard) + "due." + Token(target) + ".*"
}

// HookState is how a target of a tenant does.
func HookState(shard uint8, tenant, target string) string {
	return hookShard(shard) + "state." + Token(tenant) + "." + Token(target)
}

// HookStateBefore is where the first release with webhooks kept it.
func HookStateBefore(shard uint8, target string) string {
	return hookShard(shard) + "state." + Token(target)
}

// HookLog is what became of deliveries to a target: how is delivered or dead.
func HookLog(tenant, target, how string) string {
	return Prefix + "hooklog." + Token(tenant) + "." + Token(target) + "." + Token(how)
}

func hookShard(shard uint8) string { return Prefix + "hook.s." + strconv.Itoa(int(shard)) + "." }

// Keys of the endpoints bucket.

// NounWebhook is a kind of object that tenants list.
const NounWebhook Noun = "hook"

// KeyWebhook holds one webhook.
func KeyWebhook(tenant, id string) string { return "hook." + Token(tenant) + "." + Token(id) }

// KeyWebhooks names a tenant's webhooks.
func KeyWebhooks(tenant string) string { return "hooks." + Token(tenant) }

// KeyHooked is there where a shard has, or had, somebody who wants events.
func KeyHooked(shard uint8) string { return "hooked." + strconv.Itoa(int(shard)) }

// HookedAll matches them all.
const HookedAll = "hooked.*"
