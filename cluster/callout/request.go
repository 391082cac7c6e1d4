package callout

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"patchbay/cluster/permit"
)

// The words of the protocol (nats-server, auth_callout.go).
const (
	Subject = "$SYS.REQ.USER.AUTH" // where servers ask

	xkeyHeader = "Nats-Server-Xkey"
	audience   = "nats-authorization-request"
	account    = "$G" // that everybody is in

	maxAnswers = 1               // of a worker to one question
	answerTime = 2 * time.Minute // in which it may give it
)

// A Request is one client that wants in.
type Request struct {
	Server string // id of the server that asks
	Client uint64 // the connection, at that server
	Host   string // where it comes from
	User   string // the name that it shows; "": none
	Secret string // its password, or its token

	nkey, xkey string // of the client, for this once; of the server
	keys       *Keys
}

// errUnread says that a question was not sealed for us, or is none.
var errUnread = errors.New("not a question of a NATS server that has this cluster's keys")

// open reads a question with one of the keys.
func open(all []Keys, m *nats.Msg) (Request, error) {
	xkey := m.Header.Get(xkeyHeader)
	for i := range all {
		text, err := all[i].curve.Open(m.Data, xkey)
		if err != nil {
			continue
		}
		c, err := jwt.DecodeAuthorizationRequestClaims(string(text))
		if err != nil || c.Audience != audience || c.Server.XKey != xkey || c.UserNkey == "" {
			return Request{}, errUnread
		}
		r := Request{Server: c.Server.ID, Client: c.ClientInformation.ID, Host: c.ClientInformation.Host,
			User: c.ConnectOptions.Username, Secret: c.ConnectOptions.Password, nkey: c.UserNkey, xkey: xkey, keys: &all[i]}
		if r.Secret == "" {
			r.Secret = c.ConnectOptions.Token
		}
		return r, nil
	}
	return Request{}, errUnread
}

// A Pass is what a client that is let in may do.
type Pass struct {
	Name  string // in the server's list of connections
	May   permit.Permissions
	Until time.Time // the server closes the connection then; zero: never
}

// admit writes the answer that lets the client in.
func (r Request) admit(p Pass) ([]byte, error) {
	u := jwt.NewUserClaims(r.nkey)
	u.Name, u.Audience = p.Name, account
	u.Pub.Allow.Add(p.May.Publish...)
	u.Sub.Allow.Add(p.May.Subscribe...)
	if len(p.May.Publish) == 0 { // to NATS no list is no limit
		u.Pub.Deny.Add(">")
	}
	if p.May.Respond {
		u.Resp = &jwt.ResponsePermission{MaxMsgs: maxAnswers, Expires: answerTime}
	}
	if !p.Until.IsZero() {
		u.Expires = p.Until.Unix()
	}
	token, err := u.Encode(r.keys.issuer)
	if err != nil {
		return nil, fmt.Errorf("vouch for a client: %w", err)
	}
	return r.answer(func(a *jwt.AuthorizationResponseClaims) { a.Jwt = token })
}

// refuse writes the answer that turns the client away. Servers log why.
func (r Request) refuse(why string) ([]byte, error) {
	return r.answer(func(a *jwt.AuthorizationResponseClaims) { a.Error = why })
}

func (r Request) answer(fill func(*jwt.AuthorizationResponseClaims)) ([]byte, error) {
	a := jwt.NewAuthorizationResponseClaims(r.nkey)
	a.Audience = r.Server
	fill(a)
	text, err := a.Encode(r.keys.issuer)
	if err != nil {
		return nil, fmt.Errorf("answer a NATS server: %w", err)
	}
	sealed, err := r.keys.curve.Seal([]byte(text), r.xkey)
	if err != nil {
		return nil, fmt.Errorf("answer a NATS server: %w", err)
	}
	return sealed, nil
}

// derived returns the principal of a credential made of the cluster key, as the
// client names it; whether its password is right is another question.
func (r Request) derived() (permit.Principal, bool) {
	if len(r.Secret) != permit.PasswordSize {
		return permit.Principal{}, false
	}
	return permit.Named(r.User)
}
