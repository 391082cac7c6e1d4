package e2e_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/control"
	"patchbay/e2e/rig"
)

// Baresip has agreed on two codecs and offers both again by re-INVITE, but the
// border on the way has another policy than at the start of the call. It leaves
// the one that is spoken: both sides agree on that alone, and baresip's next
// offer has no other. Or it leaves the other, which is the other law of G.711: the
// call changes to it, and both sides hear on. (Baresip 1.0.0, which is Debian's,
// has no command that changes the codecs of a call by itself: it offers those of
// the last answer.)
func TestBaresipUpdatesItsCodecs(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	wants := map[string]string{"PCMU": "RTP/AVP 0 101", "PCMA": "RTP/AVP 8 101"}
	rig.Together(t, len(wants), slices.Sorted(maps.Keys(wants)), func(t *testing.T, kept string) {
		want := wants[kept]
		phone := baresip{dir: t.TempDir(), transport: "udp", sip: b.Port(t, 2), rtp: b.Port(t, 10), codec: "PCMU,PCMA", more: ";answermode=auto"}
		phone.write(t, 700, 8000)
		k := b.NarrowKamailio(t, fmt.Sprintf("127.0.0.1:%d", phone.sip), kept)
		r := phone.begin(t, b.Port(t, 2))
		v := b.placeWhere(t, "udp", phone.sip, "sip:phone@"+k.At.String())
		b.talks(t, v.ID, word/2)
		for again := range 2 {
			r.tell("reinvite", "")
			rig.WaitFor(t, settle, "the re-INVITE is acknowledged", func() bool { return len(r.requests("ACK")) == 2+again })
		}
		b.talks(t, v.ID, word)
		b.op.Do(t, "call", "hangup", control.ID{ID: v.ID.String()}, nil)
		if rec := b.ended(t, v.ID, 200, call.CauseOperator, call.ByOperator); rec.Codec != kept || rec.Quality.Rejected != 0 {
			t.Errorf("the record: %+v", rec)
		}
		said, invites := r.quit(), r.requests("INVITE")
		if len(invites) != 3 || !strings.Contains(string(invites[1]), "RTP/AVP 0 8 101\r\n") || !strings.Contains(string(invites[2]), want+"\r\n") {
			t.Errorf("want %s in the end\n%s", want, said)
		}
		if heard := phone.calls(t); len(heard) != 1 {
			t.Errorf("baresip heard %d calls, want 1:\n%s", len(heard), said)
		} else {
			hears(t, "baresip", heard[0], 700, 8000, 2*time.Second)
		}
	})
	b.Idle(t, settle)
}
