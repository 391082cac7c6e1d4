package call_test

import (
	"testing"

	"pgregory.net/rapid"

	"patchbay/actors/call"
)

func TestMarksAreReadAsTheyAreWritten(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := call.Mark{Digest: rapid.Uint64().Draw(rt, "digest"), Settled: rapid.Bool().Draw(rt, "settled")}
		text, err := m.MarshalText()
		var read call.Mark
		if err != nil || read.UnmarshalText(text) != nil || read != m {
			rt.Errorf("%s was read as %+v", text, read)
		}
	})
}

func TestKeysThatDifferHaveDigestsThatDiffer(t *testing.T) {
	t.Parallel()
	seen := map[uint64]call.TransactionKey{}
	for _, k := range []call.TransactionKey{
		{CallID: "ab", FromTag: "c", CSeq: 1}, {CallID: "a", FromTag: "bc", CSeq: 1}, {CallID: "ab", FromTag: "c", CSeq: 2},
		{CallID: "abc", CSeq: 1}, {FromTag: "abc", CSeq: 1},
	} {
		if other, taken := seen[k.Digest()]; taken {
			t.Errorf("%+v and %+v", k, other)
		}
		seen[k.Digest()] = k
	}
}

func FuzzMark(f *testing.F) {
	for _, seed := range []string{"0123456789abcdef", "0123456789abcdef.", "", ".", "0123456789ABCDEF", "+123456789abcdef"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var m call.Mark
		if m.UnmarshalText(text) != nil {
			return
		}
		again, err := m.MarshalText()
		var read call.Mark
		if err != nil || read.UnmarshalText(again) != nil || read != m {
			t.Errorf("%q became %q", text, again)
		}
	})
}
