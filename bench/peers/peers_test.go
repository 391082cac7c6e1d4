package peers

import (
	"bytes"
	"testing"
)

func TestADictionaryIsBencoded(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	encode(&b, "sdp")
	encode(&b, []string{"a", "bc"})
	if got := b.String(); got != "3:sdpl1:a2:bce" {
		t.Error(got)
	}
}

func TestTheSDPOfAnAnswerIsFound(t *testing.T) {
	t.Parallel()
	if got, err := sdpOf("1 d3:sdp5:v=0\r\n6:result2:oke"); got != "v=0\r\n" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if _, err := sdpOf("1 d12:error-reason3:bade"); err == nil {
		t.Error("an answer without SDP was taken")
	}
	if _, err := sdpOf("1 d3:sdp99:v=0e"); err == nil {
		t.Error("an answer cut short was taken")
	}
}

func TestAnOfferWithSDESNamesPortTagAndKey(t *testing.T) {
	t.Parallel()
	sdp := "m=audio 10010 RTP/SAVP 0\r\na=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA|2^31\r\n"
	at, tag, key, err := readOffer(sdp)
	if err != nil || at.Port() != 10010 || tag != "3" || len(key) != allBytes {
		t.Errorf("%v %q %d %v", at, tag, len(key), err)
	}
	if _, _, _, err := readOffer("m=audio 10010 RTP/SAVP 0\r\n"); err == nil {
		t.Error("an offer without a key was taken")
	}
}
