// Package hooks brings events to webhooks: at least once, signed, in order for
// each call and target.
//
// The work is cut into the shards of the event stream. A shard belongs to one
// control node at a time: it says so in the stream HOOKS, with a lease behind it.
// Its owner follows the shard's events, writes down for each who is to hear of
// it, in the same write as how far it has come, and sends what is written down
// when cluster/hooks/plan says so. Each end of a delivery is written, too, over
// the version that its owner knows. So nothing is lost whoever dies, and two
// nodes have one delivery under way only where one of them died, or was cut off,
// while its request was on the line.
//
// It decides who delivers, and what of a delivery is kept. It refuses, by giving
// it up at once, what a target or an account has too much of waiting.
package hooks
