package main

import "testing"

func TestANodeIsNotReadyBeforeItsRolesServe(t *testing.T) {
	t.Parallel()
	g := &ground{}
	if g.started() == nil {
		t.Error("a node that is starting says it is ready")
	}
	g.up.Store(true)
	if err := g.started(); err != nil {
		t.Errorf("a node that is up says: %v", err)
	}
}
