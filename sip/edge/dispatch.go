package edge

import (
	"bytes"
	"hash/maphash"

	"patchbay/actors/call"
	"patchbay/sip/wire"
)

// Limits of the queues between listeners and workers.
const (
	shardDepth     = 1024     // messages that may wait for one worker
	shardHeadroom  = 256      // of them only for what is no new call
	maxQueuedBytes = 64 << 20 // bytes that may wait for all workers
)

// An inbound is one whole message as a listener cut it. raw is its own.
type inbound struct {
	raw  []byte
	flow call.Flow
	link link // of a reliable transport
}

// A shard is the queue of one worker. All messages of a Call-ID go to the same
// one, so they leave for the cluster in the order they came.
type shard struct{ queue chan inbound }

func newShards(n int) []shard {
	all := make([]shard, n)
	for i := range all {
		all[i].queue = make(chan inbound, shardDepth)
	}
	return all
}

var shardSeed = maphash.MakeSeed()

// shardOf chooses by Call-ID; a message that shows none, by its source.
func (e *Edge) shardOf(in inbound) *shard {
	h := maphash.Comparable(shardSeed, in.flow.Remote)
	if id := rawCallID(in.raw); len(id) > 0 {
		h = maphash.Bytes(shardSeed, id)
	}
	return &e.shards[h%uint64(len(e.shards))]
}

// rawCallID finds the Call-ID of a message that nobody has checked yet.
func rawCallID(raw []byte) []byte {
	for line := range headerLines(raw) {
		if len(line) <= len("\r\n") {
			return nil
		}
		if c := line[0] | 0x20; c != 'c' && c != 'i' {
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		name = bytes.TrimRight(name, " \t")
		if bytes.EqualFold(name, []byte("call-id")) || bytes.EqualFold(name, []byte("i")) {
			return bytes.Trim(value, " \t\r\n")
		}
	}
	return nil
}

// deliverDatagram takes one UDP packet.
func (e *Edge) deliverDatagram(d datagram) {
	defer e.contain("udp")
	e.deliver(inbound{raw: d.data, flow: call.Flow{
		Edge: e.id, Boot: e.boot, Transport: call.UDP, Local: d.local, Remote: d.remote, Reply: d.remote,
		Advertise: e.cfg.Advertise,
	}})
}

// deliver queues one message for its worker. It never waits. When the queue is
// nearly full a new INVITE is answered 503 at once, so that what belongs to
// calls still finds room; when it is full that is dropped, for its sender will
// repeat it.
func (e *Edge) deliver(in inbound) {
	e.obs.received(in.flow.Transport)
	s := e.shardOf(in)
	invite := bytes.HasPrefix(in.raw, []byte("INVITE "))
	if invite && len(s.queue) >= shardDepth-shardHeadroom && e.shed(in) {
		return
	}
	if !e.enqueue(s, in) {
		e.obs.dropped(DropQueueFull)
	}
}

func (e *Edge) enqueue(s *shard, in inbound) bool {
	size := int64(len(in.raw))
	if e.queued.Add(size) <= maxQueuedBytes {
		select {
		case s.queue <- in:
			return true
		default:
		}
	}
	e.queued.Add(-size)
	return false
}

// shed answers 503 to an INVITE outside a dialog, in the listener's own
// goroutine: while it does, the listener reads less. A re-INVITE is left alone,
// and so is a call that was taken before (see turnAway).
func (e *Edge) shed(in inbound) bool {
	r := e.read(in)
	if r != nil && r.m.Method == "INVITE" && r.m.ToTag != "" {
		return false
	}
	if r != nil {
		e.turnAway(r)
	}
	return true
}

// turnAway answers 503 for want of room. A copy of an INVITE that was passed on
// before gets no answer where its sender repeats it: a call may own it by now,
// whose answers it waits for, and a 503 would end the INVITE and not the call
// (RFC 3261 17.1.1.2, 17.2.1).
func (e *Edge) turnAway(r *request) {
	if r.m.Method == "INVITE" && !r.in.flow.Transport.Reliable() && e.taken(e.inviteOf(r)) {
		e.obs.dropped(DropQueueFull)
		return
	}
	e.answer(r, 503)
}

// serveShard works until the queue is closed.
func (e *Edge) serveShard(s *shard) {
	for in := range s.queue {
		e.queued.Add(-int64(len(in.raw)))
		e.process(in)
	}
}

func (e *Edge) closeShards() {
	for i := range e.shards {
		close(e.shards[i].queue)
	}
}

// process does all about one message. A panic costs this message: a request
// outside a dialog gets 500, others are repeated by their sender.
func (e *Edge) process(in inbound) {
	defer e.contain("answer")
	var r *request
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		e.report("dispatch", v)
		if r == nil {
			return
		}
		r.release()
		if r.m.IsRequest() && r.m.ToTag == "" {
			e.answer(r, 500)
		}
	}()
	if r = e.read(in); r != nil {
		e.route(r)
	}
}

// A request is one message, request or response, that the guard let through.
type request struct {
	in      inbound // raw is gone: the message has its own
	m       *wire.Message
	settled settled
	waiting waiting
}

// packet returns the message as the rest of the cluster gets it.
func (r *request) packet() call.Packet { return call.Packet{Flow: r.in.flow, Raw: r.m.Raw} }

// read lets the guard see the message; nil: it was answered or dropped. What is
// let through has a Via that says where it came from, and a flow that says
// where answers go.
func (e *Edge) read(in inbound) *request {
	limits := wire.StreamLimits()
	switch t := in.flow.Transport; {
	case !t.Reliable():
		limits = wire.DatagramLimits()
	case isSocket(t):
		limits = wire.SocketLimits()
	}
	m, fault := wire.Read(in.raw, limits)
	in.raw = nil
	if fault != nil {
		e.refuse(in, fault)
		return nil
	}
	if m.IsRequest() {
		in.flow.Reply = m.Stamp(in.flow.Remote)
		if in.flow.Transport.Reliable() {
			in.flow.Reply = m.ReplyTo(in.flow.Remote) // for when the connection is gone
		}
	}
	return &request{in: in, m: m}
}
