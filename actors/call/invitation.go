package call

// A Party is one side of a call as SIP names it: claims, not facts.
type Party struct {
	URI     string `json:"uri"`
	User    string `json:"user"`
	Host    string `json:"host,omitempty"`
	Display string `json:"display,omitempty"`
	Trusted bool   `json:"trusted"` // only where the agent opted in (trust_caller_id)
}

// A Header is one SIP header field handed on as it came.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// An Invitation is what a dialog read out of its INVITE. It never holds the
// Request-URI of a bearer slug: that is a secret.
type Invitation struct {
	Key       TransactionKey `json:"txkey"` // for people: a slug in it is redacted, the call's own key is not
	From      Party          `json:"from"`
	To        Party          `json:"to"` // of a bearer slug: user redacted
	Transport Transport      `json:"transport"`
	Source    string         `json:"source"`            // ip:port of the packet
	Headers   []Header       `json:"headers,omitempty"` // X-*, P-Asserted-Identity, Diversion, User-to-User, Identity, History-Info, Referred-By, at most MaxHeaders
	Offer     *Offer         `json:"offer,omitempty"`   // nil: an INVITE without SDP
	// Reliable says that the carrier confirms provisional responses (RFC 3262).
	Reliable bool `json:"reliable,omitempty"`
	// MaxForwards is how many hops the INVITE had left; 0: it did not say.
	MaxForwards int `json:"max_forwards,omitempty"`
}

// Onward returns the hops of a call that goes on for this one, and whether it
// may: what it had left, less one, so that no circle of transfers is endless
// (RFC 7332 5). 0: as many as any new call.
func (i Invitation) Onward() (hops int, ok bool) {
	return max(i.MaxForwards-1, 0), i.MaxForwards != 1
}

// MaxHeaders is how many headers of an INVITE reach the agent, and
// MaxHeaderBytes how long each may be; MaxIdentityBytes, that of an Identity,
// which holds a signed token (RFC 8224). Events and the record have as many of
// them, from the first on, as ToldHeaders and ToldHeaderBytes in all allow.
const (
	MaxHeaders       = 64
	MaxHeaderBytes   = 1024
	MaxIdentityBytes = 4096
	ToldHeaders      = 32
	ToldHeaderBytes  = 8192
)

// Told returns the headers that events and the record have.
func (i *Invitation) Told() []Header {
	bytes := 0
	for n, h := range i.Headers {
		if bytes += len(h.Name) + len(h.Value); n == ToldHeaders || bytes > ToldHeaderBytes {
			return i.Headers[:n:n]
		}
	}
	return i.Headers
}
