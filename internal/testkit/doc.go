// Package testkit holds what tests of several packages share: an embedded NATS
// and programs that must be installed. Only tests import it.
package testkit
