// Package subject is the table of subjects and keys of the protocol between
// nodes (docs/permissions.md), and the only place that builds one.
//
// Subjects are made of numbers, node names, Keys and ids, never of what a
// caller wrote: every name passes [Token], so no name can add a token, a
// wildcard or a space. No slug can reach a subject, because no function here
// takes one.
package subject
