// Package plan decides which delivery to a webhook is sent when. It is pure:
// time comes in as an argument, and what is to be sent comes out.
//
// A lane is what one call has for one target: its deliveries leave one at a
// time and in order, so that one that is tried again holds back those after it,
// and nobody else's. A target has few places at once, and one only once it has
// failed; after some failures in a row it is left alone for a while, then tried
// with one delivery. So a target that is dead takes neither places nor time from
// others. It refuses what a target, or an account, has too much of: what is over
// is given up at once, not forgotten.
package plan
