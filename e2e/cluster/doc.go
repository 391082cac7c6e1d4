// Package cluster runs clusters of real processes, one for each role's
// instance, and does to them what happens to clusters: messages of one call
// that come through many edges, processes that are killed, hang, or are
// replaced, hosts that are cut off. Every test counts: calls tried, answered,
// ended as they had to, records.
package cluster
