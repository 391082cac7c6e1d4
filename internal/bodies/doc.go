// Package bodies writes events of calls as webhooks of each kind say them:
// ours, Yappr's, Ultravox's. SignalWire's and Vobiz's are to be two more files.
//
// It decides which of our events is which of a vendor's, and with which words.
// It refuses nothing and knows no secret: an event that a kind has no word for
// is none of its events, and a bearer slug is not in what it is given.
package bodies
