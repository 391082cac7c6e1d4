package peer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/srtp/v3"
	"github.com/pion/webrtc/v4"

	"patchbay/actors/call"
	"patchbay/internal/golden"
	"patchbay/media/peer"
)

func kept(t *testing.T, p *peer.Peer) peer.State {
	t.Helper()
	var s peer.State
	if err := json.Unmarshal(p.Snapshot(), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// anchor is what another node makes of a snapshot and nothing else: an ICE
// agent with the same credentials at a new port, and both directions of SRTP.
func anchor(t *testing.T, s peer.State) (*ice.Conn, *srtp.Context, *srtp.Context) {
	t.Helper()
	a, err := ice.NewAgentWithOptions(ice.WithIncludeLoopback(), ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4}),
		ice.WithInterfaceFilter(func(name string) bool { return name == "lo" }),
		ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeHost}), ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled),
		ice.WithLocalCredentials(s.LocalUfrag, string(s.LocalPwd)), ice.WithHostAcceptanceMinWait(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	if err := a.OnCandidate(func(ice.Candidate) {}); err != nil {
		t.Fatal(err)
	}
	if err := a.GatherCandidates(); err != nil {
		t.Fatal(err)
	}
	for _, text := range s.Candidates {
		c, err := ice.UnmarshalCandidate(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.AddRemoteCandidate(c); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := a.Dial(ctx, s.RemoteUfrag, string(s.RemotePwd))
	if err != nil {
		t.Fatal(err)
	}
	profile := srtp.ProtectionProfile(s.Profile)
	out, err := srtp.CreateContext(s.LocalKey, s.LocalSalt, profile)
	if err != nil {
		t.Fatal(err)
	}
	in, err := srtp.CreateContext(s.RemoteKey, s.RemoteSalt, profile)
	if err != nil {
		t.Fatal(err)
	}
	return conn, in, out
}

// hearAgent has the agent say something until it comes, and returns its length:
// the agent may send where the leg was until its own check of the new pair is
// answered.
func hearAgent(t *testing.T, a *agent, conn *ice.Conn, packet, buf []byte) int {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if _, err := a.track.Write(packet); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		for {
			n, err := conn.Read(buf)
			if err != nil {
				break // nothing yet
			}
			if n >= 2 && (buf[1] < 192 || buf[1] > 223) { // no RTCP
				return n
			}
		}
	}
	t.Fatal("the agent is not heard")
	return 0
}

// TestAnotherNodeCarriesALegOnFromItsSnapshot lets the node of a leg die without
// a word and another be the same peer, with no signalling: that is what the
// snapshot is for.
func TestAnotherNodeCarriesALegOnFromItsSnapshot(t *testing.T) {
	t.Parallel()
	for name, role := range map[string]webrtc.DTLSRole{"we were the DTLS client": webrtc.DTLSRoleServer, "the agent was": webrtc.DTLSRoleClient} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newStack(t, settings(true), peer.Hooks{}).Peer(peer.Wanted{Codecs: []call.Codec{pcmu}})
			t.Cleanup(func() { p.Close(call.CauseNormal) })
			a := newAgent(t, agentOptions{role: role})
			join(t, p, a)
			const before, jump = 20, 1500
			exchange(t, p, a, before)
			s := kept(t, p)
			if s.Remote != p.Remote() || s.SSRC != p.SSRC() || !s.Controlling || s.Lite || s.Codec != p.Codec() || s.DTLSClient != (role == webrtc.DTLSRoleServer) {
				t.Errorf("got %+v", s)
			}
			p.Die()
			conn, in, out := anchor(t, s)
			buf := make([]byte, 1500)
			for seq := uint16(before + jump); seq < before+jump+20; seq++ {
				sealed, err := out.EncryptRTP(nil, packet(s.SSRC, s.Codec.PayloadType, seq), nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := conn.Write(sealed); err != nil {
					t.Fatal(err)
				}
				compare(t, a.rx, seq, "to the agent")
				n := hearAgent(t, a, conn, packet(0, s.Codec.PayloadType, seq), buf)
				if _, err := in.DecryptRTP(nil, buf[:n], nil); err != nil {
					t.Fatalf("from the agent: %v", err)
				}
			}
		})
	}
}

func TestALegThatIsNotUpHasNoSnapshot(t *testing.T) {
	t.Parallel()
	p := newStack(t, settings(true), peer.Hooks{}).Peer(peer.Wanted{Codecs: []call.Codec{pcmu}})
	if s := p.Snapshot(); s != nil {
		t.Errorf("before it is connected: %s", s)
	}
	a := newAgent(t, agentOptions{profiles: []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80}})
	join(t, p, a)
	if s := kept(t, p); s.Profile != uint16(dtls.SRTP_AES128_CM_HMAC_SHA1_80) || len(s.LocalKey) == 0 {
		t.Errorf("got %+v", s)
	}
	p.Close(call.CauseNormal)
	if s := p.Snapshot(); s != nil {
		t.Errorf("after its end: %s", s)
	}
}

func TestKeysOfASnapshotArePrintedNowhere(t *testing.T) {
	t.Parallel()
	s := peer.State{LocalPwd: []byte("opensesame"), LocalKey: []byte("opensesame"), RemoteSalt: []byte("opensesame")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
		if out := fmt.Sprintf(verb, s); strings.Contains(out, "opensesame") || strings.Contains(out, "6f70656e") {
			t.Errorf("%s shows %s", verb, out)
		}
	}
}

// TestLegsOfRelease1AreRead reads what the first release kept of a leg.
func TestLegsOfRelease1AreRead(t *testing.T) {
	t.Parallel()
	old, err := os.ReadFile("testdata/v1/leg.json")
	if err != nil {
		t.Fatal(err)
	}
	later := bytes.Replace(old, []byte(`"v": 1`), []byte(`"v": 1, "of_a_later_release": [1]`), 1)
	var s peer.State
	if err := json.Unmarshal(later, &s); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	golden.Covers(t, "leg", old, again)
}
