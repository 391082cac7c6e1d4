package connect_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"patchbay/media"
	"patchbay/media/connect"
	"patchbay/media/peer"
)

func TestTheDocumentShowsWhatIsSent(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/agents.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"testdata/nats_offer.json", "testdata/http_json.txt", "testdata/http_openai.txt", "testdata/openai_dtmf.json", "testdata/openai_reply.json",
		"testdata/http_pipecat.txt", "testdata/http_fastrtc.txt", "testdata/http_whip.txt",
	} {
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(doc, bytes.TrimSpace(want)) {
			t.Errorf("docs/agents.md does not show %s", name)
		}
	}
	cs := peer.NewCommands(func(media.Command) error { return nil })
	for _, c := range []string{`{"id":"1","type":"hangup"}`, `{"id":"8","type":"play"}`} {
		if ack := cs.Answer(time.Unix(0, 0), []byte(c)); !bytes.Contains(doc, ack) {
			t.Errorf("docs/agents.md does not show %s", ack)
		}
	}
	if want := string(encode(t, connect.Cancel{V: 1, CallID: 7, Reason: "normal_clearing"})); !strings.Contains(string(doc), want) {
		t.Errorf("docs/agents.md does not show %s", want)
	}
	for _, code := range []string{
		peer.CodeInvalid, peer.CodeNotSupported, peer.CodeRateLimited, peer.CodeNoDTMF, peer.CodeBusy, peer.CodeEnded, peer.CodeInternal,
	} {
		if !bytes.Contains(doc, []byte("| `"+code+"` |")) {
			t.Errorf("docs/agents.md lacks the code %s", code)
		}
	}
}
