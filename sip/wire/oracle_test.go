package wire_test

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"testing"

	sipmsg "github.com/emiago/sipgo/sip"

	"patchbay/sip/wire"
)

// sipgo is the second reader: what the guard lets through, it must read the
// same. It is asked for the normal form, so this also shows that the normal form
// keeps clear of what sipgo misreads.
func TestASecondParserReadsTheSame(t *testing.T) {
	t.Parallel()
	parser := sipmsg.NewParser()
	sipmsg.SetDefaultLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))
	texts := append(tortureSeeds(t), []byte(carrier), []byte(request(
		"Via: SIP/2.0/UDP 192.0.2.1 ; Branch = z9hG4bK1, SIP/2.0/UDP 192.0.2.2",
		"FROM : \"A\" <sip:a@example.net> ; TAG = f1", "CSeq: 1  INVITE", "k: timer")))
	read := 0
	for _, text := range texts {
		m, f := wire.Read(text, wire.DatagramLimits())
		if f != nil {
			continue
		}
		read++
		parsed, err := parser.ParseSIP(m.Raw)
		if err != nil {
			t.Errorf("sipgo: %v\n%s", err, m.Raw)
			continue
		}
		compare(t, m, parsed)
	}
	if read < 35 {
		t.Errorf("only %d messages were compared", read)
	}
}

func compare(t *testing.T, m *wire.Message, parsed sipmsg.Message) {
	t.Helper()
	tag := func(p sipmsg.HeaderParams) string { return p.GetOr("tag", "") }
	pairs := map[string][2]string{
		"Call-ID":     {m.CallID, string(*parsed.CallID())},
		"CSeq":        {m.CSeqMethod, string(parsed.CSeq().MethodName)},
		"From-tag":    {m.FromTag, tag(parsed.From().Params)},
		"To-tag":      {m.ToTag, tag(parsed.To().Params)},
		"From's user": {m.From().User, parsed.From().Address.User},
		"branch":      {m.Branch, parsed.Via().Params.GetOr("branch", "")},
		"k":           {m.Header("k"), header(parsed, "Supported")},
	}
	if req, ok := parsed.(*sipmsg.Request); ok {
		pairs["method"] = [2]string{strings.ToUpper(m.Method), string(req.Method)}
		pairs["host"] = [2]string{m.RequestURI.Host, strings.ReplaceAll(strings.ToLower(strings.Trim(req.Recipient.Host, "[]")), ":::", "::")} // RFC 5118 4.10
	}
	for name, p := range pairs {
		if p[0] != p[1] && !strings.Contains(p[1], "%") { // sipgo leaves escapes as they are
			t.Errorf("%s: we read %q, sipgo %q\n%s", name, p[0], p[1], m.Raw)
		}
	}
	if int(m.CSeq) != int(parsed.CSeq().SeqNo) || !bytes.Equal(m.Body(), parsed.Body()) {
		t.Errorf("CSeq %d and %d, or another body\n%s", m.CSeq, parsed.CSeq().SeqNo, m.Raw)
	}
}

func header(m sipmsg.Message, name string) string {
	if all := m.GetHeaders(name); len(all) > 0 {
		return all[0].Value()
	}
	return ""
}
