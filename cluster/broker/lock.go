package broker

import "patchbay/internal/dirlock"

// ErrInUse says that another process keeps its JetStream in the directory. Two
// servers on one store destroy it.
var ErrInUse = dirlock.ErrInUse
