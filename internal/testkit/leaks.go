package testkit

// Goroutines that the library's server may leave behind where it is shut down
// while it makes or removes a replica of a stream: for goleak.IgnoreAnyFunction.
const (
	LeakedReplica = "github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"
	LeakedClock   = "github.com/nats-io/nats-server/v2/server/ats.Register.func1"
)
