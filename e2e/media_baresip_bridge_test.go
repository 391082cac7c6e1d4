package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/control"
	"patchbay/e2e/rig"
)

// A phone that takes no REFER is transferred all the same: Patchbay calls the
// other itself and joins the two, who hear each other. Where REFER is not asked
// for, a phone that would take it is not asked.
func TestBaresipIsJoinedToAnother(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	modes := map[string]string{"auto": ";call_transfer=no", "bridge": ""}
	rig.Together(t, 2, []string{"auto", "bridge"}, func(t *testing.T, mode string) {
		caller := baresip{dir: t.TempDir(), transport: "udp", sip: b.Port(t, 2), rtp: b.Port(t, 10), codec: "PCMU", more: modes[mode]}
		called := baresip{dir: t.TempDir(), transport: "tcp", sip: b.Port(t, 2), rtp: b.Port(t, 10), codec: "PCMU", more: ";answermode=auto"}
		caller.write(t, 700, 8000)
		called.write(t, 450, 8000)
		ep := b.endpoint(t, nil)
		r, other := caller.begin(t, b.Port(t, 2)), called.begin(t, b.Port(t, 2))
		r.tell("dial", b.URI(ep.Slug))
		v := b.talks(t, b.op.CallOf(t, ep, string(call.StateEstablished)).ID, word/2)
		var trunk control.TrunkView
		b.op.Do(t, "trunk", "create", rig.Fields{"spec": rig.Fields{"name": mode,
			"addresses": []rig.Fields{{"host": "127.0.0.1", "port": called.sip, "transport": "tcp"}}}}, &trunk)
		b.op.Do(t, "call", "transfer", rig.Fields{"id": v.ID.String(), "to": "sip:phone@127.0.0.1", "mode": mode, "trunk": trunk.ID}, nil)
		var second call.ID
		rig.Until(t, settle, func() (string, bool) {
			var now control.CallView
			err := b.op.Try("call", "get", control.ID{ID: v.ID.String()}, &now)
			if now.Transfer != nil {
				second = now.Transfer.Call
			}
			return fmt.Sprintf("the other is called: %+v, %v\n%s%s", now.Transfer, err, r.said(), other.said()), second != 0
		})
		b.talks(t, second, word)
		r.tell("hangup", "")
		rec := b.record(t, v.ID)
		if tr := rec.Transfer; rec.Cause.Word != "transferred" || tr == nil || tr.State != call.TransferDone {
			t.Errorf("the call that was transferred: %+v, %+v", rec, tr)
		}
		other.expect("terminated (duration:")
		asked := map[string]int{"auto": 1, "bridge": 0}[mode]
		said := r.quit() + other.quit()
		if n := len(r.requests("REFER")); n != asked {
			t.Errorf("baresip was sent %d REFERs, want %d", n, asked)
		}
		mine, theirs := caller.calls(t), called.calls(t)
		if len(mine) != 1 || len(theirs) != 1 {
			t.Fatalf("the phones heard %d and %d calls, want 1 and 1:\n%s", len(mine), len(theirs), said)
		}
		hears(t, "baresip", mine[0][len(mine[0])-12000:], 450, 8000, time.Second)
		hears(t, "the other", theirs[0], 700, 8000, time.Second)
	})
	b.Idle(t, settle)
}
