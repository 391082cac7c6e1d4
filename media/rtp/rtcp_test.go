package rtp_test

import (
	"encoding/hex"
	"testing"
	"time"

	"patchbay/media/rtp"

	"github.com/pion/rtcp"
)

var testBlock = rtp.ReportBlock{SSRC: 0xdead, Fraction: 12, Lost: -3, Highest: 70000, Jitter: 44, LSR: 0x11223344, DLSR: 0x10000}

func TestReportsAreReadAloudByAnotherImplementation(t *testing.T) {
	t.Parallel()
	b := rtp.AppendReport(nil, 0xbeef, &rtp.SenderReport{NTP: 1 << 40, RTP: 77, Packets: 5, Octets: 800}, &testBlock, "call@example")
	b = rtp.AppendBye(b, 0xbeef)
	packets, err := rtcp.Unmarshal(b)
	if err != nil || len(packets) != 3 {
		t.Fatalf("%v in %s", err, hex.EncodeToString(b))
	}
	sr, ok := packets[0].(*rtcp.SenderReport)
	if !ok || sr.SSRC != 0xbeef || sr.NTPTime != 1<<40 || sr.RTPTime != 77 || sr.PacketCount != 5 || sr.OctetCount != 800 {
		t.Errorf("%+v", packets[0])
	}
	if len(sr.Reports) != 1 || sr.Reports[0].SSRC != 0xdead || sr.Reports[0].TotalLost != 0xfffffd || sr.Reports[0].LastSequenceNumber != 70000 {
		t.Errorf("%+v", sr.Reports)
	}
	sdes, ok := packets[1].(*rtcp.SourceDescription)
	if !ok || len(sdes.Chunks) != 1 || sdes.Chunks[0].Items[0].Text != "call@example" {
		t.Errorf("%+v", packets[1])
	}
	if bye, ok := packets[2].(*rtcp.Goodbye); !ok || bye.Sources[0] != 0xbeef {
		t.Errorf("%+v", packets[2])
	}
}

func TestReportsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	for _, cname := range []string{"", "a", "ab", "abc", "abcd", "abcde"} {
		b := rtp.AppendBye(rtp.AppendReport(nil, 0xbeef, nil, &testBlock, cname), 0xbeef)
		f, err := rtp.ParseRTCP(b, 0xdead)
		if err != nil || f.SSRC != 0xbeef || f.Reported || !f.HasBlock || f.Block != testBlock || !f.Bye || !f.Described {
			t.Errorf("cname %q: %+v %v", cname, f, err)
		}
		if f, _ := rtp.ParseRTCP(b, 0xd00d); f.HasBlock {
			t.Error("a block about somebody else was taken")
		}
	}
}

func TestAnotherImplementationsReportIsUnderstood(t *testing.T) {
	t.Parallel()
	b, err := rtcp.Marshal([]rtcp.Packet{&rtcp.SenderReport{
		SSRC: 1, NTPTime: 0x0123456789abcdef, RTPTime: 9, PacketCount: 8, OctetCount: 7,
		Reports: []rtcp.ReceptionReport{{SSRC: 50}, {SSRC: 60, FractionLost: 3, TotalLost: 4, Jitter: 5, LastSenderReport: 6, Delay: 7}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	f, err := rtp.ParseRTCP(b, 60)
	if err != nil || !f.Reported || f.Sender != (rtp.SenderReport{NTP: 0x0123456789abcdef, RTP: 9, Packets: 8, Octets: 7}) {
		t.Fatalf("%+v %v", f, err)
	}
	if want := (rtp.ReportBlock{SSRC: 60, Fraction: 3, Lost: 4, Jitter: 5, LSR: 6, DLSR: 7}); f.Block != want {
		t.Errorf("%+v", f.Block)
	}
	if got := rtp.NTPMiddle(f.Sender.NTP); got != 0x456789ab {
		t.Errorf("middle %x", got)
	}
}

func TestMalformedRTCPIsRefused(t *testing.T) {
	t.Parallel()
	valid := rtp.AppendReport(nil, 1, &rtp.SenderReport{}, &testBlock, "x")
	for name, b := range map[string][]byte{
		"empty":              nil,
		"cut off":            valid[:len(valid)-1],
		"a block missing":    append([]byte{0x82}, valid[1:]...),
		"version 1":          append([]byte{0x41}, valid[1:]...),
		"bytes behind":       append(append([]byte(nil), valid...), 1, 2, 3),
		"sender report of 8": {0x80, 200, 0, 1, 0, 0, 0, 1},
	} {
		if _, err := rtp.ParseRTCP(b, 1); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestRoundTripTimeIsWhatTheReportsTellApart(t *testing.T) {
	t.Parallel()
	sent := time.Date(2026, 11, 21, 3, 4, 5, 678e6, time.UTC)
	block := rtp.ReportBlock{LSR: rtp.NTPMiddle(rtp.NTP(sent)), DLSR: 65536 / 2}
	rtt, ok := block.RTT(sent.Add(580 * ms))
	if !ok || rtt < 79*ms || rtt > 81*ms {
		t.Errorf("round trip %v %v, want 80ms", rtt, ok)
	}
	for name, c := range map[string]struct {
		block rtp.ReportBlock
		at    time.Time
	}{
		"no report of ours":  {rtp.ReportBlock{DLSR: 5}, sent},
		"held for too long":  {block, sent.Add(100 * ms)},
		"over a minute":      {block, sent.Add(2 * time.Minute)},
		"a report of a past": {rtp.ReportBlock{LSR: 1}, sent},
	} {
		if rtt, ok := c.block.RTT(c.at); ok {
			t.Errorf("%s: %v", name, rtt)
		}
	}
}

func FuzzRTCP(f *testing.F) {
	f.Add(rtp.AppendReport(nil, 1, &rtp.SenderReport{}, &testBlock, "x"))
	f.Add(rtp.AppendBye(rtp.AppendReport(nil, 1, nil, nil, ""), 1))
	f.Add([]byte{0x81, 201, 0, 7, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := rtp.ParseRTCP(b, 0xdead)
		if err == nil && got.HasBlock && got.Block.SSRC != 0xdead {
			t.Fatal("a block about somebody else")
		}
	})
}
