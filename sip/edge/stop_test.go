package edge

import (
	"net"
	"testing"
	"time"

	"patchbay/config"
)

// A deadlined connection tells of each read deadline before it is set.
type deadlined struct {
	net.Conn
	before func()
	last   time.Time
}

func (d *deadlined) SetReadDeadline(at time.Time) error {
	if f := d.before; f != nil {
		d.before = nil
		f()
	}
	d.last = at
	return d.Conn.SetReadDeadline(at)
}

// A ping of a browser that comes at the moment when its connection is to end
// gives that no further time.
func TestAPingKeepsNoConnectionOpenThatIsToEnd(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer func() { _, _ = near.Close(), far.Close() }()
	nc := &deadlined{Conn: near}
	c := &conn{edge: &Edge{cfg: config.SIP{IdleTimeout: time.Hour}}, nc: nc, flushed: make(chan struct{})}
	nc.before = c.stop
	c.heard()
	if left := time.Until(nc.last); left > 0 {
		t.Errorf("the reader waits for %s", left)
	}
}
