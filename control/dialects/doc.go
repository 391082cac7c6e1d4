// Package dialects is the place of the faces that speak other products' APIs,
// each a folder of its own: see control/gateway for what a face is given, and
// docs/apis.md for what each shows.
//
// It holds no code but the test that all faces keep: what one does not show, it
// does not change.
package dialects
