package dialguard

import (
	"net"
	"net/http"
	"time"
)

// probeAfter, probeEvery and probes find an idle connection whose far side has
// gone without a word, in 10 s: one that is kept for the next question would
// cost that question its time.
const (
	probeAfter = 5 * time.Second
	probeEvery = time.Second
	probes     = 5
)

func probing() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: probeAfter, Interval: probeEvery, Count: probes}
}

// pingAfter and pingWait find an HTTP/2 connection whose far side has gone
// without a word, while it is in use: all questions to a host share one, and
// each would wait in vain for as long as TCP repeats itself, a quarter of an
// hour.
const (
	pingAfter = 3 * time.Second
	pingWait  = 5 * time.Second
)

// Pings is what a transport that keeps connections does over HTTP/2.
func Pings() *http.HTTP2Config {
	return &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingWait}
}
