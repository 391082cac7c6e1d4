package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors"
	"patchbay/actors/endpoint"
	"patchbay/cluster/envelope"
	"patchbay/cluster/subject"
)

// explainPatience is the longest wait for an explanation.
const explainPatience = 2 * time.Second

// An Explainer asks the decider of an address what it would decide: control's
// way to endpoint actors.
type Explainer struct{ nc *nats.Conn }

// NewExplainer returns an Explainer.
func NewExplainer(c *Conn) *Explainer { return &Explainer{nc: c.Control()} }

// Explain returns what would become of an INVITE now, as its tenant may know
// it. The error wraps [ErrUnavailable].
func (e *Explainer) Explain(ctx context.Context, tenant string, inv endpoint.Invite) (actors.Explanation, error) {
	data, err := envelope.EncodeExplain(tenant, inv)
	if err != nil {
		return actors.Explanation{}, fmt.Errorf("explain: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, explainPatience)
	defer cancel()
	m, err := e.nc.RequestWithContext(ctx, subject.Explain(inv.Address.Partition()), data)
	if errors.Is(err, nats.ErrNoResponders) { // no owner: as with an INVITE, any decider
		m, err = e.nc.RequestWithContext(ctx, subject.ExplainAny, data)
	}
	if err != nil {
		return actors.Explanation{}, fmt.Errorf("explain: %w: %w", ErrUnavailable, err)
	}
	x, err := envelope.DecodeExplanation(m.Data)
	if err != nil {
		return x, fmt.Errorf("explain: %w", err)
	}
	return x, nil
}
