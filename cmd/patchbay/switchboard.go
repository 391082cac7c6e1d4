//go:build !signalling

package main

import (
	"patchbay/actors"
	"patchbay/media"
)

// newSwitchboard is what joins carriers and agents: the node's media.
func newSwitchboard(m *media.Node) actors.Switchboard { return m }
