package media

// State is a bridge's snapshot, as a node that carries it on reads it.
type State = state
