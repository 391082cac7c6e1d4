package rig

import (
	bigendian "encoding/binary"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"
)

// A Sound is what a call has heard of its own audio, which the echo agent
// sends back.
type Sound struct {
	Sent, Heard int           // RTP packets of 20 ms
	Gap         time.Duration // longest silence between two that came
	Since       time.Time     // when that began
	Other       bool          // a packet of another stream (SSRC) ended it
	Last        time.Time     // when the last one came
}

// An ear is the audio side of a call: PCMU, 20 ms a packet.
type ear struct {
	conn *net.UDPConn
	stop chan struct{}
	done sync.WaitGroup

	mu     sync.Mutex
	sound  Sound
	ssrc   uint32 // of the last packet
	hushed bool
}

// newEar opens an RTP socket at the host of a SIP address.
func newEar(t testing.TB, at string) *ear {
	t.Helper()
	host := netip.MustParseAddrPort(at).Addr()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(host, 0)))
	if err != nil {
		t.Fatal(err)
	}
	e := &ear{conn: conn, stop: make(chan struct{})}
	e.done.Go(e.listen)
	return e
}

func (e *ear) local() netip.AddrPort { return e.conn.LocalAddr().(*net.UDPAddr).AddrPort() }
func (e *ear) port() int             { return int(e.local().Port()) }

func (e *ear) listen() {
	buf := make([]byte, 2048)
	for {
		n, err := e.conn.Read(buf)
		if err != nil {
			return
		}
		if n < 12 || buf[1]&0x7f != 0 {
			continue // no PCMU: RTCP, comfort noise
		}
		e.note(time.Now(), bigendian.BigEndian.Uint32(buf[8:]))
	}
}

// note counts a packet that came, unless the call is over.
func (e *ear) note(now time.Time, ssrc uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.hushed {
		return
	}
	s := &e.sound
	if gap := now.Sub(s.Last); !s.Last.IsZero() && gap > s.Gap {
		s.Gap, s.Since, s.Other = gap, s.Last, ssrc != e.ssrc
	}
	s.Heard++
	s.Last, e.ssrc = now, ssrc
}

var (
	sdpHost = regexp.MustCompile(`(?m)^c=IN IP[46] (\S+)`)
	sdpPort = regexp.MustCompile(`(?m)^m=audio (\d+)`)
)

// talkTo begins to send to whom an answer names.
func (e *ear) talkTo(answer Response) {
	host, port := sdpHost.FindStringSubmatch(string(answer)), sdpPort.FindStringSubmatch(string(answer))
	if host == nil || port == nil {
		return
	}
	addr, err := netip.ParseAddr(host[1])
	number, err2 := strconv.ParseUint(port[1], 10, 16)
	if err != nil || err2 != nil {
		return
	}
	to := netip.AddrPortFrom(addr, uint16(number))
	e.mu.Lock()
	e.sound.Gap, e.sound.Last = 0, time.Time{} // an echo has nothing to say to who has not spoken yet: an answer may have come late
	e.mu.Unlock()
	e.done.Go(func() { e.speak(to) })
}

// speak sends a packet every 20 ms (RFC 3550, RFC 3551 4.5.14).
func (e *ear) speak(to netip.AddrPort) {
	packet := make([]byte, 172)
	packet[0] = 0x80
	packet[8], packet[9] = byte(e.port()>>8), byte(e.port()) // SSRC
	for i := range packet[12:] {
		packet[12+i] = byte(i) // some noise
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for seq := 0; ; seq++ {
		select {
		case <-e.stop:
			return
		case <-tick.C:
		}
		packet[2], packet[3] = byte(seq>>8), byte(seq)
		for at, ts := 7, seq*160; at >= 4; at, ts = at-1, ts>>8 {
			packet[at] = byte(ts)
		}
		if _, err := e.conn.WriteToUDPAddrPort(packet, to); err != nil {
			continue
		}
		e.mu.Lock()
		e.sound.Sent++
		e.mu.Unlock()
	}
}

// now is what has been heard so far.
func (e *ear) now() Sound {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sound
}

// hush says and hears no more: a call is over for who sends its BYE, answered or
// not (RFC 3261 15.1.1). The port may be another call's before an answer comes,
// and whoever talks on is heard there.
func (e *ear) hush() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.hushed {
		e.hushed = true
		close(e.stop)
	}
}

// close ends the audio.
func (e *ear) close() Sound {
	e.hush()
	_ = e.conn.Close()
	e.done.Wait()
	return e.now()
}
