package wire

import "time"

// Allow lists the methods we serve, for the Allow header (RFC 3261 20.5).
const Allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK"

// Supported lists the extensions that we serve, for the Supported header (RFC
// 3261 20.37): session timers (RFC 4028), reliable provisional
// responses (RFC 3262), dialogs that take the place of others (RFC 3891).
const Supported = "timer, 100rel, replaces"

// MinSessionExpires is the shortest session timer that we take: the shortest
// that there is (RFC 4028 4).
const MinSessionExpires = 90 * time.Second

// Recognised reports whether a method is one that RFCs define: what we do not
// serve of them is 405, any other is 501 (RFC 3261 8.2.1, 21.5.2).
func Recognised(method string) bool {
	switch method {
	case "INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "REGISTER", // RFC 3261
		"PRACK", "UPDATE", "INFO", "REFER", "SUBSCRIBE", "NOTIFY", "MESSAGE", "PUBLISH": // RFC 3262, 3311, 6086, 3515, 6665, 3428, 3903
		return true
	}
	return false
}

// OfDialogs reports whether a method that we serve has its place in a dialog
// only: without one it is 481 (RFC 3261 15.1.2, RFC 3262 3, RFC 3311 5.2, RFC 6086 4.2.2).
func OfDialogs(method string) bool {
	switch method {
	case "BYE", "PRACK", "UPDATE", "INFO":
		return true
	}
	return false
}

var phrases = map[int]string{
	100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress",
	200: "OK", 202: "Accepted", 204: "No Notification",
	300: "Multiple Choices", 301: "Moved Permanently", 302: "Moved Temporarily", 305: "Use Proxy", 380: "Alternative Service",
	400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
	405: "Method Not Allowed", 406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout",
	410: "Gone", 412: "Conditional Request Failed", 413: "Request Entity Too Large", 414: "Request-URI Too Long",
	415: "Unsupported Media Type", 416: "Unsupported URI Scheme", 420: "Bad Extension", 421: "Extension Required",
	422: "Session Interval Too Small", 423: "Interval Too Brief", 428: "Use Identity Header", 429: "Provide Referrer Identity",
	430: "Flow Failed", 433: "Anonymity Disallowed", 436: "Bad Identity Info", 437: "Unsupported Credential",
	438: "Invalid Identity Header", 439: "First Hop Lacks Outbound Support", 440: "Max-Breadth Exceeded",
	469: "Bad Info Package", 470: "Consent Needed",
	480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 482: "Loop Detected", 483: "Too Many Hops",
	484: "Address Incomplete", 485: "Ambiguous", 486: "Busy Here", 487: "Request Terminated", 488: "Not Acceptable Here",
	489: "Bad Event", 491: "Request Pending", 493: "Undecipherable", 494: "Security Agreement Required",
	500: "Server Internal Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
	504: "Server Time-out", 505: "Version Not Supported", 513: "Message Too Large", 555: "Push Notification Service Not Supported",
	580: "Precondition Failed",
	600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist Anywhere", 606: "Not Acceptable", 607: "Unwanted", 608: "Rejected",
}

// classes are the phrases of statuses that the table does not know: RFC 3261
// 8.1.3.2 treats them as x00, so they are named for that.
var classes = [...]string{1: "Session Progress", 2: "OK", 3: "Multiple Choices", 4: "Bad Request", 5: "Server Internal Error", 6: "Busy Everywhere"}

// Phrase returns the reason phrase that IANA registers for a status.
func Phrase(status int) string {
	if p, ok := phrases[status]; ok {
		return p
	}
	if c := status / 100; c >= 1 && c < len(classes) {
		return classes[c]
	}
	return "Unknown"
}
