// Package pipe is a listener in memory, for servers in virtual time. Only tests
// import it.
package pipe

import "net"

// A Listener has the connections that are put into it, whose deadlines keep
// virtual time. Closing the channel ends it.
type Listener chan net.Conn

// Accept implements net.Listener.
func (l Listener) Accept() (net.Conn, error) {
	c, ok := <-l
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

// Close implements net.Listener. It does nothing.
func (l Listener) Close() error { return nil }

// Addr implements net.Listener.
func (l Listener) Addr() net.Addr { return &net.TCPAddr{} }
