package scenario_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"patchbay/e2e/rig"
)

// withAudio reports whether a row needs the party's RTP.
func (st step) withAudio() bool { return st.verb == "keys" || st.verb == "tones" || st.verb == "heard" }

// sound notes where the other side wants our RTP.
func (k *party) sound(m rig.Response) {
	if to, ok := rig.AudioOf(m); ok {
		k.audio = to
	}
}

// plays sends or awaits what a row about RTP says: "keys 15 nomarker pt=102
// clock=48000 ends=1", "tones 15", "heard 5", "heard tones=5", "heard audio".
func (k *party) plays(st step) error {
	if st.verb == "heard" {
		return k.hearsAudio(st.args[0])
	}
	if k.audio == (netip.AddrPort{}) {
		return fmt.Errorf("%s: nobody has said where RTP goes", st.verb)
	}
	if st.verb == "tones" {
		return k.media.Sing(k.audio, st.args[0])
	}
	how := rig.Press{Type: 101, Clock: 8000, Ends: 3}
	for _, w := range st.args[1:] {
		name, value, _ := strings.Cut(w, "=")
		n, err := strconv.Atoi(value)
		switch {
		case w == "nomarker":
			how.NoMarker = true
		case err != nil:
			return fmt.Errorf("keys %s: want nomarker, pt=, clock= or ends=", w)
		case name == "pt":
			how.Type = byte(n)
		case name == "clock":
			how.Clock = n
		case name == "ends":
			how.Ends = n
		}
	}
	return k.media.Press(k.audio, st.args[0], how)
}

// hearsAudio waits for keys in RTP, or for any audio.
func (k *party) hearsAudio(what string) error {
	for end := time.Now().Add(rig.Patience); ; time.Sleep(5 * time.Millisecond) { // real: the node is a process
		keys, packets := k.media.Heard()
		want, sung := strings.CutPrefix(what, "tones=")
		if sung {
			// A gap in the audio of a busy machine cuts a tone in two.
			keys = string(slices.Compact([]byte(k.media.Sung())))
		}
		if what == "audio" && packets > 0 || what != "audio" && keys == want {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("heard the keys %q and %d packets of audio, want %s", keys, packets, what)
		}
	}
}
