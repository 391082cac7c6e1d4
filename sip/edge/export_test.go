package edge

import "time"

// Patiently gives others as long as a busy machine may take, where an edge waits
// for seconds.
func Patiently(d time.Duration) Option {
	return func(e *Edge) { e.times = times{announce: d, handshake: d, linger: e.times.linger, dial: d, lookup: d} }
}

// Lingering sets how long a connection that lost its framing stays for answers.
func Lingering(d time.Duration) Option { return func(e *Edge) { e.times.linger = d } }

// AsUsual takes back what was set.
func AsUsual(e *Edge) { e.times = usualTimes }
