package wire

// A fieldID is a header field that the guard treats in its own way.
type fieldID uint8

const (
	other fieldID = iota
	via
	from
	to
	callID
	cseq
	maxForwards
	contentLength
	contentType
	contact
	route
	recordRoute
	referTo
	replaces
	rack
	fieldIDs // how many there are
)

// A fieldName is how a header field is called in what we write.
type fieldName struct {
	id   fieldID
	name string
}

// single holds the fields that may stand once (RFC 3261 7.3.1, RFC 3515 2.4.2,
// RFC 3891 3, RFC 3262 7.2): of two, each reader may believe another one.
const single = 1<<from | 1<<to | 1<<callID | 1<<cseq | 1<<maxForwards | 1<<contentLength | 1<<contentType |
	1<<referTo | 1<<replaces | 1<<rack

// names maps lower-case long and compact names (IANA SIP parameters, Header
// Fields) to the one that is written. Others keep the spelling they came with.
var names = map[string]fieldName{
	"via": {via, "Via"}, "v": {via, "Via"},
	"from": {from, "From"}, "f": {from, "From"},
	"to": {to, "To"}, "t": {to, "To"},
	"call-id": {callID, "Call-ID"}, "i": {callID, "Call-ID"},
	"cseq":           {cseq, "CSeq"},
	"max-forwards":   {maxForwards, "Max-Forwards"},
	"content-length": {contentLength, "Content-Length"}, "l": {contentLength, "Content-Length"},
	"content-type": {contentType, "Content-Type"}, "c": {contentType, "Content-Type"},
	"contact": {contact, "Contact"}, "m": {contact, "Contact"},
	"route":          {route, "Route"},
	"record-route":   {recordRoute, "Record-Route"},
	"accept-contact": {other, "Accept-Contact"}, "a": {other, "Accept-Contact"},
	"referred-by": {other, "Referred-By"}, "b": {other, "Referred-By"},
	"request-disposition": {other, "Request-Disposition"}, "d": {other, "Request-Disposition"},
	"content-encoding": {other, "Content-Encoding"}, "e": {other, "Content-Encoding"},
	"reject-contact": {other, "Reject-Contact"}, "j": {other, "Reject-Contact"},
	"supported": {other, "Supported"}, "k": {other, "Supported"},
	"identity-info": {other, "Identity-Info"}, "n": {other, "Identity-Info"},
	"event": {other, "Event"}, "o": {other, "Event"},
	"refer-to": {referTo, "Refer-To"}, "r": {referTo, "Refer-To"},
	"replaces": {replaces, "Replaces"}, "rack": {rack, "RAck"},
	"subject": {other, "Subject"}, "s": {other, "Subject"},
	"allow-events": {other, "Allow-Events"}, "u": {other, "Allow-Events"},
	"session-expires": {other, "Session-Expires"}, "x": {other, "Session-Expires"},
	"identity": {other, "Identity"}, "y": {other, "Identity"},
	"accept": {other, "Accept"}, "require": {other, "Require"}, "timestamp": {other, "Timestamp"},
	"allow": {other, "Allow"}, "user-agent": {other, "User-Agent"}, "reason": {other, "Reason"},
	"p-asserted-identity": {other, "P-Asserted-Identity"}, "diversion": {other, "Diversion"},
}

// lookup returns what a header field is called; compact and long names of any
// case are one. It reports false for a name that the table does not have.
func lookup[T string | []byte](name T) (fieldName, bool) {
	var lower [24]byte
	if len(name) > len(lower) {
		return fieldName{}, false
	}
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	f, ok := names[string(lower[:len(name)])]
	return f, ok
}
