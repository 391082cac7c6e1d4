package dialog_test

import (
	"bytes"
	"runtime"
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
)

// TestAFinishedCallKeepsLittle measures what a call costs between its end and
// the last retransmission that may come: 32 s at every rate of calls. It is not
// parallel, because it weighs the whole heap.
func TestAFinishedCallKeepsLittle(t *testing.T) {
	const calls, most = 2000, 4 << 10
	p, factory := newPeer(sceneOf(nil)), newFactory(t, "")
	invite, cancel := p.packet(t, "INVITE"), p.packet(t, "CANCEL")
	kept := make([]*actors.Machine, 0, calls)
	before := heap()
	for range calls {
		d, inv, err := factory.New(epoch, 1, call.Packet{Flow: invite.Flow, Raw: bytes.Clone(invite.Raw)})
		if err != nil {
			t.Fatal(err)
		}
		m := &actors.Machine{Dialog: d, Call: call.New(call.Params{ID: 1, Invitation: inv, AgentTimeout: time.Second})}
		m.HandleEvent(epoch, call.Event{Kind: call.Invited})
		m.HandlePacket(epoch, cancel)
		if !m.Call.Over() || m.Done() {
			t.Fatal("the call is not over, or its dialog does not linger")
		}
		kept = append(kept, m)
	}
	if each := (int64(heap()) - int64(before)) / calls; each > most {
		t.Errorf("a finished call keeps %d bytes, want at most %d", each, most)
	}
	runtime.KeepAlive(kept)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
