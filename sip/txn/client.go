package txn

import "time"

// A Client is a non-INVITE client transaction (RFC 3261 17.1.2). The zero
// value is one that was never started.
type Client struct {
	timers     Timers
	reliable   bool
	proceeding bool
	final      bool
	raw        []byte // the request
	copies     resend // timer E
	end        time.Time
}

// StartClient returns the transaction of a request that is about to be sent
// for the first time over a transport that is reliable or not.
func StartClient(now time.Time, timers Timers, reliable bool, raw []byte) Client {
	c := Client{timers: timers, reliable: reliable, raw: raw, end: now.Add(timers.Timeout())} // timer F
	if !reliable {
		c.copies.start(now, timers.T1, timers.T2)
	}
	return c
}

// Started reports that there is a request at all.
func (c *Client) Started() bool { return c.raw != nil || c.final }

// Response takes a response that the caller has matched by branch and method.
// It reports true for the first final one.
func (c *Client) Response(now time.Time, status int) bool {
	if !c.Started() || c.final {
		return false
	}
	if status < 200 {
		if !c.reliable && !c.proceeding {
			c.proceeding = true
			c.copies.pause = c.timers.T2 // timer E runs on, and is T2 from its next firing on (17.1.2.2)
		}
		return false
	}
	c.close()
	if !c.reliable { // timer K absorbs copies of the response
		c.end = now.Add(c.timers.T4)
	}
	return true
}

// Wake returns the copy of the request that is due now, if any. timeout says
// that no final response came within 64*T1; it is said once.
func (c *Client) Wake(now time.Time) (raw []byte, timeout bool) {
	if passed(c.end, now) {
		timeout = !c.final
		c.close()
		return nil, timeout
	}
	if c.copies.due(now) {
		return c.raw, false
	}
	return nil, false
}

// Abandon stops the copies of a request whose response does not matter any
// more. One that was never started stays so.
func (c *Client) Abandon() {
	if c.Started() {
		c.close()
	}
}

func (c *Client) close() {
	c.final = true
	c.raw = nil
	c.copies.stop()
	c.end = time.Time{}
}

// Deadline is when Wake wants to be called; zero: not at all.
func (c *Client) Deadline() time.Time { return Earliest(c.copies.at, c.end) }

// Done reports that nothing need be kept, not even for late responses. A
// client that was never started is done.
func (c *Client) Done() bool { return c.end.IsZero() }
