package call

// An Outgoing is a call that we begin, as somebody asked for it.
type Outgoing struct {
	To      string // sip or sips URI: Request-URI and To; its transport parameter counts
	From    string // sip or sips URI; empty: anonymous (RFC 3323 4.1.1.3)
	Display string // name beside From; empty: none
	// Hops are the SIP URIs that the INVITE is sent to, where that is not To: a
	// trunk's addresses. Where nothing could be sent to one, it was not heard
	// within 8*T1 (the last: 64*T1), or said 503, the next one is tried (RFC 3263 4.3), within the
	// same dialog; at most MaxHops. They are no routes: what follows goes where
	// the answer says. What they lead to by name is tried in its order too
	// (RFC 3263).
	Hops        []string
	Credentials Credentials
	Headers     []Header // further header fields, at most MaxHeaders of MaxHeaderBytes
	// Nth says which of the call's dialogs this is where it is not the first: they
	// have Call-IDs of their own.
	Nth         int
	Replaces    string // value of that header field (RFC 3891); empty: none
	ReferredBy  string // likewise (RFC 3892)
	MaxForwards int    // of a call that goes on for another: what that had left, less one (RFC 7332 5); 0: 70
	Edge        string // edge that sends the INVITE, if it lives; empty: any
}

// MaxHops is how many addresses of a trunk one call tries.
const MaxHops = 8

// MaxTries is how many addresses those lead to that one call tries.
const MaxTries = 16

// Credentials are a user name and a password at a trunk (RFC 3261 22). They
// redact themselves. The zero value is none.
type Credentials struct {
	Username string
	Password string
	Realm    string // the only one that is answered; empty: any
}

// String hides the password, and the name.
func (c Credentials) String() string {
	if c == (Credentials{}) {
		return "no credentials"
	}
	return "credentials"
}

// GoString keeps %#v as safe as %v.
func (c Credentials) GoString() string { return c.String() }

// MarshalJSON writes null: credentials are sealed where they are kept, and go
// nowhere by accident.
func (c Credentials) MarshalJSON() ([]byte, error) { return []byte(`null`), nil }

// A WrongOutgoing says which part of an Outgoing cannot be used, and why.
type WrongOutgoing struct {
	Field string // to, from, display, hops, credentials or headers
	Why   string // without the value, which may be a secret
}

// Error implements error.
func (w *WrongOutgoing) Error() string { return w.Field + ": " + w.Why }
