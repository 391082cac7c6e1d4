package edge_test

import (
	"fmt"
	"testing"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/sip/edge"
	"patchbay/sip/token"
)

// TestAnInviteThatReplacesADialogGoesToItsCall sends INVITEs with Replaces to
// several edges: the tag in it says whose they are, whatever was dialled.
func TestAnInviteThatReplacesADialogGoesToItsCall(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, connect func(*rig) *peer) {
		type taken struct {
			slot call.Slot
			id   call.ID
		}
		calls := make(chan taken, 8)
		r := rejecting(0)
		r.invite = func(endpoint.Invite, bool, call.Packet, func(edge.Outcome)) { t.Error("a decider was asked") }
		r.inDialog = func(slot call.Slot, id call.ID, _ call.Packet, done func(error)) {
			calls <- taken{slot, id}
			done(nil)
		}
		for range 2 {
			rig := start(t, settings(), r)
			tag := rig.keys.Mint(token.Call, 7, 42, "old@pbx")
			replaces := "Replaces: old@pbx;to-tag=" + tag + ";from-tag=a"
			for _, uri := range []string{"sip:desk-abcdef@sip.example", "sip:" + tag + "@127.0.0.1"} {
				connect(rig).send(msg{method: "INVITE", uri: uri, callID: "new@pbx", headers: []string{replaces, "Require: replaces"}}.String())
				if got := take(t, calls); got != (taken{7, 42}) {
					t.Errorf("%s went to %+v", uri, got)
				}
			}
			for name, value := range map[string]string{
				"of another Call-ID": "other@pbx;to-tag=" + tag + ";from-tag=a",
				"of a rejection":     "old@pbx;to-tag=" + rig.keys.Reject("old@pbx") + ";from-tag=a",
				"of nobody":          "old@pbx;to-tag=x;from-tag=a",
			} {
				res := connect(rig).ask(msg{method: "INVITE", callID: "new@pbx", headers: []string{"Replaces: " + value}}.String())
				if status(res) != "481" {
					t.Errorf("a tag %s: %s", name, status(res))
				}
			}
		}
		unknown := rejecting(0)
		unknown.inDialog = func(_ call.Slot, id call.ID, _ call.Packet, done func(error)) {
			done(fmt.Errorf("call %d: %w", id, actors.ErrNotMine))
		}
		rig := start(t, settings(), unknown)
		res := connect(rig).ask(msg{method: "INVITE", callID: "new@pbx",
			headers: []string{"Replaces: old@pbx;to-tag=" + rig.keys.Mint(token.Call, 7, 42, "old@pbx") + ";from-tag=a"}}.String())
		if status(res) != "481" {
			t.Errorf("a call that nobody has: %s", status(res))
		}
	})
}
