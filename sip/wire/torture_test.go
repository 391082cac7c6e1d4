package wire_test

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"patchbay/sip/wire"
)

const torture = "../testdata/torture"

// A row is one message of RFC 4475 or RFC 5118 and what we owe it.
type row struct {
	file, layer, acceptable string
	raw                     []byte
}

func tortureRows(t testing.TB) []row {
	t.Helper()
	f, err := os.Open(filepath.Join(torture, "oracle.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	table, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for _, line := range table[1:] {
		folder := "rfc4475"
		if strings.HasPrefix(line[1], "5118") {
			folder = "rfc5118"
		}
		raw, err := os.ReadFile(filepath.Join(torture, folder, line[0]))
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row{file: line[0], layer: line[2], acceptable: line[4], raw: raw})
	}
	return rows
}

// tortureSeeds returns every message of the corpus, for fuzzing.
func tortureSeeds(t testing.TB) [][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(torture, "*", "*.dat"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no torture messages: %v", err)
	}
	var seeds [][]byte
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, raw)
	}
	return seeds
}

// outcome says in a word or two what became of a message.
func outcome(m *wire.Message, f *wire.Fault) string {
	switch {
	case f == nil && m.IsRequest():
		return "read " + m.Method
	case f == nil:
		return "read response"
	case f.Drop:
		return "drop " + f.Word
	}
	return strings.TrimPrefix(f.Error(), "wire: ")
}

// owes holds the rows whose outcome is decided here. Rows that are not in it
// must be read if they are valid, and be Faults if they are not.
var owes = map[string]string{
	"clerr.dat":      "400 short_body",
	"ncl.dat":        "400 bad_content_length",
	"scalar02.dat":   "400 bad_cseq",
	"scalarlg.dat":   "drop bad_cseq",
	"bigcode.dat":    "drop bad_status_line",
	"badinv01.dat":   "400 bad_via",
	"quotbal.dat":    "400 bad_to",
	"badvers.dat":    "505 bad_version",
	"escruri.dat":    "400 bad_request_uri",
	"ltgtruri.dat":   "400 bad_request_uri",
	"lwsruri.dat":    "400 bad_start_line",
	"mismatch01.dat": "400 cseq_method",
	"mismatch02.dat": "501 unknown_method",
	"insuf.dat":      "400 no_from",
	"multi01.dat":    "400 duplicate_header",
	"mcl01.dat":      "400 duplicate_header",
	"unkscm.dat":     "416 unknown_scheme",
	"novelsc.dat":    "416 unknown_scheme",
	"bext01.dat":     "420 extension_required",
	"invut.dat":      "415 media_type",
	"sdp01.dat":      "406 accepts_no_sdp",
	// A Date decides nothing here: RFC 4475 3.1.2.12 lets it be ignored.
	"baddate.dat": "read INVITE",
	// RFC 2543 had no From-tag, and an endpoint may answer whatever its hops.
	"inv2543.dat":   "read INVITE",
	"zeromf.dat":    "read OPTIONS",
	"badbranch.dat": "read OPTIONS",
}

func TestTortureMessagesGetWhatTheyAreOwed(t *testing.T) {
	t.Parallel()
	for _, r := range tortureRows(t) {
		datagram, fault := wire.Read(r.raw, wire.DatagramLimits())
		got := outcome(datagram, fault)
		t.Logf("%-36s %-12s %-26s oracle: %s", r.file, r.layer, got, r.acceptable)
		read := strings.HasPrefix(got, "read ")
		switch want, decided := owes[r.file]; {
		case decided && got != want:
			t.Errorf("%s: %s, want %s", r.file, got, want)
		case !decided && r.layer == "syntax" && read:
			t.Errorf("%s was read, and is not well-formed", r.file)
		case !decided && r.layer != "syntax" && !read:
			t.Errorf("%s: %s, and it is well-formed", r.file, got)
		}
		if fault != nil && !fault.Drop && fault.Reply("tag") == nil {
			t.Errorf("%s: no answer can be written", r.file)
		}
	}
}

// A stream has the same guard: what was cut from it by Content-Length gets the
// answer that it gets in a datagram.
func TestTortureMessagesGetTheSameOnAStream(t *testing.T) {
	t.Parallel()
	for _, r := range tortureRows(t) {
		m, fault := wire.Read(r.raw, wire.DatagramLimits())
		framed := r.raw
		if fault == nil {
			framed = r.raw[:bytes.Index(r.raw, []byte("\r\n\r\n"))+4+len(m.Body())]
		}
		onStream, streamFault := wire.Read(framed, wire.StreamLimits())
		got, want := outcome(onStream, streamFault), outcome(m, fault)
		if r.file == "inv2543.dat" { // it has no Content-Length, which a stream needs
			want = "400 no_content_length"
		}
		if got != want {
			t.Errorf("%s: %s on a stream, %s in a datagram", r.file, got, want)
		}
	}
}
