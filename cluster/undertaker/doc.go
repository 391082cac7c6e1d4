// Package undertaker ends the calls of media nodes that have died (design D6):
// until another node can carry a call on, its carrier is owed a BYE, its agent
// and its owner the news, and its record a place on the stream, once.
//
// It decides when a node counts as dead, and which survivor ends which call.
// Silence is not enough: a node that this one does not hear is asked itself, and
// a node that does not even hear its own beats asks nobody and ends nothing.
// Survivors come in the order of the call's transaction key, 300 ms apart, and
// only who lands a write on the call's entry, at the revision that was read and
// in the next epoch, may speak for it.
//
// It refuses to end a call whose node has answered, whose entry has changed
// since it was read, or of which there is no entry.
package undertaker
