package rtp_test

import (
	"bytes"
	"errors"
	"testing"

	"patchbay/media/rtp"
)

// packet builds an RTP packet the long way.
func packet(h rtp.Header, payload ...byte) []byte {
	b := make([]byte, rtp.HeaderSize, rtp.HeaderSize+len(payload))
	h.Put(b)
	return append(b, payload...)
}

func TestParseFindsThePayloadBehindCSRCsExtensionAndPadding(t *testing.T) {
	t.Parallel()
	want := rtp.Header{PayloadType: 8, Marker: true, Sequence: 0xfffe, Timestamp: 0x01020304, SSRC: 0xcafebabe}
	plain := packet(want, 1, 2, 3)
	full := bytes.Clone(plain[:12])
	full[0] |= 0x20 | 0x10 | 2 // padding, extension, two CSRCs
	full = append(full, 9, 9, 9, 9, 9, 9, 9, 9)
	full = append(full, 0xbe, 0xde, 0, 1, 7, 7, 7, 7)
	full = append(full, 1, 2, 3)
	full = append(full, 0, 0, 3)
	for name, b := range map[string][]byte{"plain": plain, "full": full} {
		h, start, end, err := rtp.Parse(b)
		if err != nil || h != want || !bytes.Equal(b[start:end], []byte{1, 2, 3}) {
			t.Errorf("%s: %+v %v %v", name, h, b[start:end], err)
		}
	}
}

func TestParseRefusesWhatIsNoRTP(t *testing.T) {
	t.Parallel()
	valid := packet(rtp.Header{}, 1)
	with := func(change func([]byte)) []byte {
		b := bytes.Clone(valid)
		change(b)
		return b
	}
	for name, c := range map[string]struct {
		b   []byte
		err error
	}{
		"empty":             {nil, rtp.ErrShort},
		"eleven bytes":      {valid[:11], rtp.ErrShort},
		"version 1":         {with(func(b []byte) { b[0] = 0x40 }), rtp.ErrVersion},
		"fifteen CSRCs":     {with(func(b []byte) { b[0] |= 15 }), rtp.ErrShort},
		"extension cut off": {with(func(b []byte) { b[0] |= 0x10 }), rtp.ErrShort},
		"padding of zero":   {with(func(b []byte) { b[0] |= 0x20; b[12] = 0 }), rtp.ErrPadding},
		"padding too long":  {with(func(b []byte) { b[0] |= 0x20; b[12] = 2 }), rtp.ErrPadding},
	} {
		if _, _, _, err := rtp.Parse(c.b); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
}

func TestRTCPIsToldFromRTPByItsType(t *testing.T) {
	t.Parallel()
	for second, want := range map[byte]bool{0: false, 0x80: false, 191: false, 200: true, 203: true, 223: true, 224: false} {
		if got := rtp.IsRTCP([]byte{0x80, second}); got != want {
			t.Errorf("second byte %d: %v", second, got)
		}
	}
	if rtp.IsRTCP([]byte{0x80}) {
		t.Error("one byte is no RTCP")
	}
}

func FuzzHeader(f *testing.F) {
	f.Add(packet(rtp.Header{Sequence: 7}, 1, 2, 3))
	f.Add([]byte{0xb2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xbe, 0xde, 0, 0, 5, 1})
	f.Add([]byte{0xa0, 0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, start, end, err := rtp.Parse(b)
		if err != nil {
			return
		}
		if start < rtp.HeaderSize || start > end || end > len(b) {
			t.Fatalf("payload %d:%d of %d bytes", start, end, len(b))
		}
		again, s, e, err := rtp.Parse(packet(h, b[start:end]...))
		if err != nil || again != h || s != rtp.HeaderSize || e-s != end-start {
			t.Fatalf("%+v came back as %+v, %v", h, again, err)
		}
	})
}
