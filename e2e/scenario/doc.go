// Package scenario plays calls that are written down one to a file, in
// testdata, against a cluster with three edges: straight, with every message
// through another edge than the one before, and through a relay that loses,
// doubles and reorders UDP. It decides whether each ended as its file says,
// with one record and nothing left. Rows are described in testdata/README.md.
package scenario
