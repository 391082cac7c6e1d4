package connect

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"

	"patchbay/media"
)

// whipDialect is WHIP (RFC 9725) with audio both ways: the offer is sendrecv,
// and so must the answer be. There is no data channel in it. A session that has
// no Location, or one on another host, ends with DTLS only: the key is not
// carried elsewhere.
var whipDialect = dialect{
	accept: typeSDP,
	silent: true,
	ask: func(q question) (string, []byte, error) {
		return typeSDP, []byte(q.sdp), nil
	},
	read: func(r reply) (Answer, error) {
		kind, _, _ := mime.ParseMediaType(r.header.Get("Content-Type"))
		if r.status != http.StatusCreated || kind != typeSDP {
			return Answer{}, fmt.Errorf("%w: want 201 with application/sdp", media.ErrAgentRefused)
		}
		a, err := readSDP(r)
		a.SessionID = r.header.Get("Location")
		return a, err
	},
	end: func(u *url.URL, session string) (string, *url.URL) {
		target, err := u.Parse(session)
		if err != nil || target.Scheme != u.Scheme || target.Host != u.Host || target.User != nil {
			return "", nil
		}
		return http.MethodDelete, target
	},
}
