package main

import "testing"

func TestANodeIsNotReadyBeforeItsRolesServe(t *testing.T) {
	t.Parallel()
	g := &ground{}
	if g.started() == nil {
		t.Error("a node that is starting says it is ready")
	}
	g.up.Store(true)
	if err := g.notDraining(); err != nil {
		t.Errorf("before the drain: %v", err)
	}
	g.draining.Store(true)
	if g.notDraining() == nil {
		t.Error("a draining node says that it takes calls")
	}
	if err := g.started(); err != nil {
		t.Errorf("a node that is up says: %v", err)
	}
}
