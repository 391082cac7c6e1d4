package caller

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"patchbay/actors/call"
	"patchbay/sip/sdp"
)

// The tone comes in bursts, so that each can be timed on its way round.
const (
	frame      = 20 * time.Millisecond
	burstOn    = 20 // frames of tone
	burstOff   = 15 // frames of silence
	slice      = 5 * time.Millisecond
	dtmfFrames = 8 // frames one digit lasts, then as many of pause
	audible    = 500.0
)

// An audio is the caller's RTP: one socket, one codec, a tone and an ear.
type audio struct {
	o      Options
	conn   *net.UDPConn
	remote netip.AddrPort
	codec  call.Codec
	coder  coder
	dtmf   *call.Codec
	local  netip.AddrPort

	mu       sync.Mutex
	bursts   []time.Time // when each burst left
	heardAt  []time.Time // when each came back
	ear      ear
	sent     int
	digits   int
	received int
	first    time.Time
	sound    time.Time
	seqs     sequence
	heard    []int16
}

func newAudio(local netip.Addr, o Options) (*audio, error) {
	conn, err := evenSocket(local)
	if err != nil {
		return nil, err
	}
	for _, name := range o.Codecs {
		s, ok := speeches[name]
		if !ok {
			_ = conn.Close()
			return nil, fmt.Errorf("codec %s: this caller speaks %s", name, strings.Join(codecNames(), ", "))
		}
		if s.opaque && o.Payload == nil {
			_ = conn.Close()
			return nil, fmt.Errorf("codec %s: this caller has no encoder for it, only payloads of your own", name)
		}
	}
	return &audio{o: o, conn: conn, local: unmap(conn.LocalAddr().(*net.UDPAddr).AddrPort())}, nil
}

// evenSocket takes an even port, as RFC 3550 11 wants for RTP.
func evenSocket(local netip.Addr) (*net.UDPConn, error) {
	for range 50 {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)))
		if err != nil {
			return nil, fmt.Errorf("open an RTP port: %w", err)
		}
		if conn.LocalAddr().(*net.UDPAddr).Port%2 == 0 {
			return conn, nil
		}
		_ = conn.Close()
	}
	return nil, fmt.Errorf("open an RTP port: no even port is free")
}

func (a *audio) close() { _ = a.conn.Close() }

func (a *audio) offer() string {
	o := call.Offer{Addr: a.local, Direction: call.SendRecv, Ptime: 20,
		DTMF: []call.Codec{{PayloadType: 101, Name: "telephone-event", ClockRate: 8000, Fmtp: "0-16"}}}
	for _, name := range a.o.Codecs {
		o.Codecs = append(o.Codecs, speeches[name].codec)
	}
	return string(sdp.Offer(o, sdp.Origin{ID: 1, Version: 1, Addr: a.local.Addr()}))
}

// connect reads the answer. It holds one codec of ours.
func (a *audio) connect(body []byte) error {
	s, err := sdp.Read("application/sdp", body)
	if err != nil {
		return err
	}
	answer, err := s.Offer()
	if err != nil {
		return err
	}
	for _, c := range answer.Codecs {
		if slices.Contains(a.o.Codecs, c.Name) {
			a.codec, a.coder, a.remote = c, speeches[c.Name].make(), answer.Addr
			a.ear = newEar(a.o.Tone, a.coder.rate)
			if len(answer.DTMF) > 0 {
				a.dtmf = &answer.DTMF[0]
			}
			return nil
		}
	}
	return fmt.Errorf("the answer holds none of %s", strings.Join(a.o.Codecs, ", "))
}

// run sends and listens until ctx ends.
func (a *audio) run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { a.listen(ctx) })
	a.speak(ctx)
	_ = a.conn.SetReadDeadline(time.Now())
	wg.Wait()
}

// speak sends one packet a frame. On a busy machine it catches up: a missed
// tick must not look like a lost packet.
func (a *audio) speak(ctx context.Context) {
	began := time.Now()
	wait := time.NewTimer(0)
	defer wait.Stop()
	p := newPacketizer(a)
	for n := 0; ; n++ {
		select {
		case <-wait.C:
		case <-ctx.Done():
			return
		}
		if packet := p.next(n); packet != nil {
			_, _ = a.conn.WriteToUDPAddrPort(packet, a.remote)
			a.mu.Lock()
			a.sent++
			a.mu.Unlock()
		}
		wait.Reset(time.Until(began.Add(time.Duration(n+1) * frame)))
	}
}

func (a *audio) listen(ctx context.Context) {
	buf := make([]byte, 2048)
	for ctx.Err() == nil {
		n, from, err := a.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if unmap(from) == a.remote {
			a.take(time.Now(), buf[:n])
		}
	}
}

// take hears one packet.
func (a *audio) take(now time.Time, packet []byte) {
	p, ok := parseRTP(packet)
	if ok && a.dtmf != nil && p.pt == a.dtmf.PayloadType {
		a.takeEvent(p)
		return
	}
	if !ok || p.pt != a.codec.PayloadType {
		return
	}
	if a.o.OnPacket != nil {
		a.o.OnPacket(p.seq, p.payload)
	}
	samples := a.coder.decode(p.payload)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.received++
	a.seqs.add(p.seq)
	if a.first.IsZero() {
		a.first = now
	}
	a.hear(now, samples)
}

// hear notes what the samples tell. The caller holds mu.
func (a *audio) hear(now time.Time, samples []int16) {
	if a.o.KeepHeard && len(a.heard) < maxHeard {
		a.heard = append(a.heard, samples...)
	}
	if a.sound.IsZero() && peak(samples) > audible {
		a.sound = now
	}
	if a.ear.onset(samples) {
		a.heardAt = append(a.heardAt, now)
	}
}

// takeEvent hears one packet of a telephone-event. It has its place in the
// sequence, so it is none that was lost.
func (a *audio) takeEvent(p rtpPacket) {
	if a.o.OnEvent != nil {
		a.o.OnEvent(p.ts, p.payload)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seqs.add(p.seq)
}

// maxHeard is how many samples of what was heard are kept: ten minutes.
const maxHeard = 10 * 60 * 16000

func (a *audio) progress(at time.Duration) Progress {
	a.mu.Lock()
	defer a.mu.Unlock()
	return Progress{At: at, Step: "talking", Sent: a.sent, Received: a.received, Heard: len(a.heardAt) > 0}
}

func (a *audio) report(began time.Time, rep *Report) {
	a.mu.Lock()
	defer a.mu.Unlock()
	rep.Codec, rep.Sent, rep.Received, rep.Lost = a.codec.Name, a.sent, a.received, a.seqs.lost()
	rep.Heard, rep.HeardRate, rep.DigitsSent = a.heard, a.coder.rate, a.digits
	if !a.first.IsZero() {
		rep.FirstRTP = a.first.Sub(began)
	}
	if !a.sound.IsZero() {
		rep.FirstAudio = a.sound.Sub(began)
	}
	trips := roundTrips(a.bursts, a.heardAt)
	rep.Bursts = len(trips)
	if len(trips) > 0 {
		slices.Sort(trips)
		rep.RoundTrip = trips[len(trips)/2]
	}
}

// roundTrips pairs each burst heard with the latest one that left before it.
func roundTrips(left, heard []time.Time) []time.Duration {
	var trips []time.Duration
	for _, h := range heard {
		for i := len(left) - 1; i >= 0; i-- {
			if left[i].Before(h) {
				trips = append(trips, h.Sub(left[i]))
				break
			}
		}
	}
	return trips
}
