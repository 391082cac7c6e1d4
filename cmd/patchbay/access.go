package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"patchbay/cluster/permit"
	"patchbay/control"
	"patchbay/internal/keys"
)

// An entrance is how a command gets into a cluster's NATS.
type entrance struct {
	url, creds, key, ca string
	timeout             time.Duration
}

// register adds the flags that say so.
func (e *entrance) register(f *pflag.FlagSet) {
	f.StringVar(&e.url, "nats", envOr("PBCTL_NATS", "nats://127.0.0.1:4222"), "NATS servers to ask through, comma separated; may hold user:password@ (PBCTL_NATS)")
	f.StringVar(&e.key, "key", envOr("PBCTL_KEY", os.Getenv("PATCHBAY_NODE_CLUSTER_KEY_FILE")),
		"file with the cluster key, or with a key derived from it, to show NATS a credential (PBCTL_KEY)")
	f.StringVar(&e.creds, "creds", "", "NATS credentials file")
	f.StringVar(&e.ca, "ca", envOr("PBCTL_CA", os.Getenv("PATCHBAY_NATS_TLS_CA_FILE")), "file with the certificates to check NATS servers' with (PBCTL_CA)")
}

// access says how a principal gets in: by a credentials file, by what the URL
// holds, or by a key file.
func (e *entrance) access(who permit.Principal) (control.Access, error) {
	a := control.Access{URL: e.url, Creds: e.creds, CA: e.ca, Timeout: e.timeout}
	if at, err := url.Parse(e.url); err == nil && at.User != nil {
		named, ok := permit.Named(at.User.Username())
		switch key := e.apiKey(); {
		case ok:
			a.Inbox = permit.Inbox(named)
		case key != "":
			a.Inbox = permit.InboxOfKey(key)
		}
		return a, nil
	}
	if e.creds != "" || e.key == "" {
		return a, nil
	}
	c, err := keys.ReadCluster(e.key)
	if err != nil {
		return a, err
	}
	a.Inbox = permit.Inbox(who)
	if !c.Has(keys.Login(who.String())) {
		return a, fmt.Errorf("%s has no credential for %s: patchbay keys derive makes one", e.key, who)
	}
	if who.Name != "" {
		a.User, a.Password = who.String(), permit.Password(c, who)
		return a, nil
	}
	l, err := permit.LoginOf(c, who)
	a.Nkey, a.Sign = l.Nkey, l.Sign
	return a, err
}

// apiKeyID is what an API key's id looks like (RFC 9562).
var apiKeyID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// apiKey is the id of the API key that the URL holds as user and password; "":
// none.
func (e *entrance) apiKey() string {
	at, err := url.Parse(e.url)
	if err != nil || at.User == nil || !apiKeyID.MatchString(at.User.Username()) {
		return ""
	}
	return at.User.Username()
}

// dial connects as a principal, to work on a tenant's objects.
func (e *entrance) dial(who permit.Principal, tenant string) (control.Client, error) {
	a, err := e.access(who)
	if err != nil {
		return control.Client{}, err
	}
	client, err := control.Dial(a, tenant)
	client.Key = e.apiKey()
	if errors.Is(err, control.ErrUnknown) && e.key == "" {
		return client, fmt.Errorf("%w (--nats %s): NATS asks who comes; --key names the cluster key or one derived from it", err, shownURL(e.url))
	}
	if err != nil {
		return client, fmt.Errorf("%w (--nats %s)", err, shownURL(e.url))
	}
	return client, nil
}

// shownURL hides a URL that may hold a password.
func shownURL(url string) string {
	if strings.Contains(url, "@") {
		return "[redacted]"
	}
	return url
}

// operator is who runs ctl.
var operator = permit.Principal{Roles: []permit.Role{permit.Operator}}
