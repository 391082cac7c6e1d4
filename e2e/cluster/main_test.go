package cluster_test

import (
	"testing"
	"time"

	"patchbay/e2e/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

// settle is the longest wait for what a cluster does by itself after a call,
// on a machine that is busy: a call that was answered twice waits 64*T1 for its
// second ACK.
const settle = 45 * time.Second

// A bed is a cluster and the slugs of two endpoints: one that the echo agent
// answers, one that nobody does.
type bed struct {
	*rig.Cluster
	answered, ringing string
}

func newBed(t *testing.T, plan rig.Plan) *bed {
	t.Helper()
	if rig.Race {
		t.Skip("twelve processes under the race detector miss every deadline: run this with an ordinary build")
	}
	c := rig.StartCluster(t, plan)
	return &bed{Cluster: c, answered: c.Op.Endpoint(t, c.Agent, nil).Slug,
		ringing: c.Op.Endpoint(t, c.Op.Agent(t, "dialin", nil).ID, nil).Slug}
}

// uri is what a carrier dials. The host is an edge's: which one does not
// matter.
func (b *bed) uri(slug string) string { return b.Edges[0].URI(slug) }
