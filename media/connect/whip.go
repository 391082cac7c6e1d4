package connect

import (
	"fmt"
	"net/http"
	"net/url"

	"patchbay/media"
)

// whipDialect is WHIP (RFC 9725) with audio both ways: the offer is sendrecv,
// and so must the answer be. There is no data channel in it. A session that has
// no Location, or one on another host, ends with DTLS only: the key is not
// carried elsewhere. The media type of the answer is not looked at, because
// servers are about that leave it out.
var whipDialect = dialect{
	accept: typeSDP,
	silent: true,
	twoWay: true,
	ask: func(q question) (string, []byte, error) {
		return typeSDP, []byte(q.sdp), nil
	},
	read: func(r reply) (Answer, error) {
		if r.status != http.StatusCreated {
			return Answer{}, fmt.Errorf("%w: want 201", media.ErrAgentRefused)
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
