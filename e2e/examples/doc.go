// Package examples runs each folder of examples against a node as its README
// says, command by command. Ports are the test's own.
package examples
