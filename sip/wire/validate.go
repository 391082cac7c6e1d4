package wire

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"patchbay/actors/call"
)

// Media types that an INVITE may carry, and the Accept header that says so.
const (
	sdpType       = "application/sdp"
	multipartType = "multipart/mixed"
)

// validate decides what a well-formed message is owed before anybody asks whom
// it is for (RFC 3261 8.1.1, 8.2, RFC 4475 3.3).
func validate(m *Message) *Fault {
	if word := count(m); word != "" {
		return owed(400, word)
	}
	if !m.IsRequest() {
		return nil
	}
	if m.CSeqMethod != m.Method {
		return mismatch(m.Method)
	}
	if f := m.target(); f != nil {
		return f
	}
	// The OPTIONS of a probe are an endpoint's to answer whatever the hops (RFC
	// 4475 3.3.11), and a dialog is where it is. A call whose caller may be sent on
	// from here is of a back-to-back agent, and ends with its hops (RFC 7332 5).
	if m.hops == 0 && m.ToTag == "" && m.Method != "OPTIONS" && m.Method != "CANCEL" && m.Method != "ACK" {
		return owed(483, "too_many_hops")
	}
	if f := cmp.Or(extensions(m), replacing(m)); f != nil {
		return f
	}
	if m.Method == "INVITE" {
		return inviteBody(m)
	}
	return nil
}

// mismatch refuses a request whose CSeq names another method (RFC 3261
// 8.1.1.5). Where nobody knows the method that is the better answer (RFC 4475
// 3.1.2.18).
func mismatch(method string) *Fault {
	if Recognised(method) {
		return owed(400, "cseq_method")
	}
	f := owed(501, "unknown_method")
	f.Headers = []call.Header{{Name: "Allow", Value: Allow}}
	return f
}

// count returns the word for a mandatory header field that is not there, or for
// more Contacts than the one that a new dialog can have (RFC 3261 8.1.1.8). A
// From-tag and Max-Forwards may be absent: RFC 2543 knew neither (8.1.1, 12.1.1).
func count(m *Message) string {
	var seen [fieldIDs]int
	for i := range m.fields {
		seen[m.fields[i].id]++
	}
	switch {
	case seen[via] == 0:
		return "no_via"
	case seen[from] == 0:
		return "no_from"
	case seen[to] == 0:
		return "no_to"
	case seen[callID] == 0:
		return "no_call_id"
	case seen[cseq] == 0:
		return "no_cseq"
	case seen[contact] > 1 && m.Method == "INVITE" && m.ToTag == "":
		return "several_contacts"
	}
	return ""
}

// target reads the Request-URI. Header fields in it are refused, not ignored:
// nobody may plant them (RFC 3261 19.1.5).
func (m *Message) target() *Fault {
	var err error
	m.RequestURI, err = ParseURI(m.text[m.methodEnd+1 : m.targetEnd])
	switch {
	case errors.Is(err, ErrScheme):
		return owed(416, "unknown_scheme")
	case err != nil, m.RequestURI.Headers:
		return owed(400, "bad_request_uri")
	}
	return nil
}

// extensions refuses what a request requires of us and is not [Supported]. ACK
// and CANCEL cannot be refused for it (RFC 3261 8.2.2.3).
func extensions(m *Message) *Fault {
	if m.Method == "ACK" || m.Method == "CANCEL" {
		return nil
	}
	served := listed([]string{Supported})
	wanted := slices.DeleteFunc(listed(m.Headers("Require")), func(w string) bool { return slices.Contains(served, strings.ToLower(w)) })
	if len(wanted) == 0 {
		return sessionTimer(m)
	}
	f := owed(420, "extension_required")
	f.Headers = []call.Header{{Name: "Unsupported", Value: strings.Join(wanted, ", ")}}
	return f
}

// sessionTimer refuses a session timer that is too short, where the other side
// knows what that means (RFC 4028 9). No state is needed for it.
func sessionTimer(m *Message) *Fault {
	value := m.Header("Session-Expires")
	if value == "" || m.Method != "INVITE" && m.Method != "UPDATE" {
		return nil
	}
	number, _, _ := strings.Cut(value, ";")
	seconds, err := strconv.ParseUint(strings.TrimSpace(number), 10, 32)
	knows := func(s string) bool { return strings.EqualFold(s, "timer") }
	if err != nil || time.Duration(seconds)*time.Second >= MinSessionExpires || !slices.ContainsFunc(listed(append(m.Headers("Supported"), m.Headers("Require")...)), knows) {
		return nil
	}
	f := owed(422, "session_timer_too_short")
	f.Headers = []call.Header{{Name: "Min-SE", Value: strconv.Itoa(int(MinSessionExpires / time.Second))}}
	return f
}

// inviteBody refuses bodies that hold no SDP, and callers that take no SDP.
func inviteBody(m *Message) *Fault {
	if m.Described() {
		if t := m.ContentType(); t != sdpType && t != multipartType {
			f := owed(415, "media_type")
			f.Headers = []call.Header{{Name: "Accept", Value: sdpType + ", " + multipartType}}
			return f
		}
		if e := m.Header("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
			f := owed(415, "content_encoding")
			f.Headers = []call.Header{{Name: "Accept-Encoding", Value: "identity"}}
			return f
		}
	}
	accepted := listed(m.Headers("Accept"))
	for _, a := range accepted {
		switch mediaType(a) {
		case sdpType, "application/*", "*/*", multipartType:
			return nil
		}
	}
	if len(accepted) > 0 {
		f := owed(406, "accepts_no_sdp")
		f.Headers = []call.Header{{Name: "Warning", Value: `399 patchbay "answers are application/sdp"`}} // RFC 4475 3.3.15
		return f
	}
	return nil
}

// listed splits joined values (RFC 3261 7.3.1) of fields that hold no quotes.
func listed(values []string) []string {
	var all []string
	for _, v := range values {
		for one := range strings.SplitSeq(v, ",") {
			if one = strings.TrimSpace(one); one != "" {
				all = append(all, one)
			}
		}
	}
	return all
}
