package wire

import "strings"

// A Replaces is the value of that header field: the dialog that a new one is to
// take the place of, as the sender of the INVITE sees it (RFC 3891 6.1).
type Replaces struct {
	CallID    string
	ToTag     string // of whom the INVITE is for
	FromTag   string // of the side that is to be replaced
	EarlyOnly bool   // not if the dialog is confirmed
}

// ReadReplaces reads the value of a Replaces header field, and reports whether
// it is one: with a Call-ID and both tags.
func ReadReplaces(value string) (r Replaces, ok bool) {
	callID, params, _ := strings.Cut(value, ";")
	r.CallID = strings.TrimSpace(callID)
	tags := 0
	for one := range strings.SplitSeq(params, ";") {
		name, v, _ := strings.Cut(one, "=")
		v = strings.TrimSpace(v)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "to-tag":
			r.ToTag = v
			tags++
		case "from-tag":
			r.FromTag = v
			tags++
		case "early-only":
			r.EarlyOnly = true
		}
	}
	whole := r.CallID != "" && tags == 2 && r.ToTag != "" && r.FromTag != ""
	return r, whole && !strings.ContainsAny(r.CallID+r.ToTag+r.FromTag, ", \t") // several in one line are as bad as two lines
}

// Replaces returns what an INVITE outside a dialog is to replace; false:
// nothing. The guard has seen that it can be read.
func (m *Message) Replaces() (Replaces, bool) {
	if m.Method != "INVITE" || m.ToTag != "" {
		return Replaces{}, false
	}
	return ReadReplaces(m.Header("Replaces"))
}

// replacing refuses a Replaces that nobody could follow: in a request other
// than INVITE, more than one, beside a Join, or malformed (RFC 3891 3).
func replacing(m *Message) *Fault {
	values := m.Headers("Replaces")
	if len(values) == 0 || m.Method == "ACK" {
		return nil
	}
	_, ok := ReadReplaces(values[0])
	if m.Method != "INVITE" || len(values) > 1 || m.Header("Join") != "" || !ok {
		return owed(400, "bad_replaces")
	}
	return nil
}
