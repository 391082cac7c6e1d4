package control

import (
	"context"
	"fmt"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// Hooks knows what was sent to webhooks, what waits, and what was given up.
type Hooks interface {
	// Health says how a webhook does; one that nothing was sent to is normal.
	Health(ctx context.Context, tenant, webhook string) (WebhookHealth, error)
	// Deliveries returns those of a webhook that are in a state, the latest first,
	// at most limit.
	Deliveries(ctx context.Context, tenant, webhook, state string, limit int) ([]Delivery, error)
	// Redeliver has events sent again that the webhook was sent before, or given
	// up, and returns how many; endpoint.ErrNotFound where none is kept.
	Redeliver(ctx context.Context, tenant, webhook string, which Redelivery) (int, error)
	// Test has an event sent to the webhook alone and returns the event's id.
	Test(ctx context.Context, tenant, webhook string) (string, error)
}

// Words for how a webhook does.
const (
	HealthNormal    = "normal"
	HealthUnhealthy = "unhealthy" // it failed again and again, and is tried seldom
	HealthUnknown   = "unknown"   // it cannot be asked now
)

// A WebhookHealth is how a webhook does.
type WebhookHealth struct {
	Status           string           `json:"status"`
	RecentFailures   []WebhookFailure `json:"recent_failures,omitempty"` // the latest first, at most 10
	LastStatusChange *time.Time       `json:"last_status_change,omitempty"`
}

// A WebhookFailure is one try that failed.
type WebhookFailure struct {
	At      time.Time `json:"at"`
	Failure string    `json:"failure"`
}

// States of a delivery.
const (
	DeliveryWaiting   = "waiting"   // to be sent, or sent again, at NextAt
	DeliveryDelivered = "delivered" // taken with a 2xx
	DeliveryDead      = "dead"      // given up; webhook.redeliver sends it again
)

// A Delivery is one event on its way to one webhook.
type Delivery struct {
	ID       string     `json:"id"`
	State    string     `json:"state"`
	EventID  string     `json:"event_id"`
	Event    string     `json:"event"` // type, in our words
	Call     call.ID    `json:"call_id,omitempty"`
	At       time.Time  `json:"at"`       // of the event
	Attempts int        `json:"attempts"` // so far
	NextAt   *time.Time `json:"next_at,omitempty"`
	EndedAt  *time.Time `json:"ended_at,omitempty"`
	Status   int        `json:"http_status,omitempty"` // of the last reply; 0: none came
	Failure  string     `json:"failure,omitempty"`     // of the last try
}

// A DeliveryQuery is the request of webhook.deliveries.
type DeliveryQuery struct {
	ID    string `json:"id"`              // of the webhook
	State string `json:"state,omitempty"` // waiting, delivered or dead; "": dead
	Limit int    `json:"limit,omitempty"` // 1 to 200; 0: 50
}

// A DeliveryList answers webhook.deliveries.
type DeliveryList struct {
	Items []Delivery `json:"items"`
}

// WebhookDeliveries returns what was sent to a webhook of late, what waits for
// it, or what was given up: the latest first.
func (o *Operations) WebhookDeliveries(ctx context.Context, tenant string, in DeliveryQuery) (DeliveryList, error) {
	limit, err := PageRequest{Limit: in.Limit}.limit()
	if err != nil {
		return DeliveryList{}, err
	}
	switch in.State {
	case "":
		in.State = DeliveryDead
	case DeliveryWaiting, DeliveryDelivered, DeliveryDead:
	default:
		return DeliveryList{}, invalid("state", endpoint.CodeInvalid, "want waiting, delivered or dead")
	}
	if err := o.webhookIs(ctx, tenant, in.ID); err != nil {
		return DeliveryList{}, fmt.Errorf("deliveries of webhook %s: %w", in.ID, err)
	}
	items, err := o.Hooks.Deliveries(ctx, tenant, in.ID, in.State, limit)
	if err != nil {
		return DeliveryList{}, fmt.Errorf("deliveries of webhook %s: %w", in.ID, err)
	}
	if items == nil {
		items = []Delivery{}
	}
	return DeliveryList{items}, nil
}

// webhookIs returns an error unless the tenant has the webhook, and something
// knows of deliveries.
func (o *Operations) webhookIs(ctx context.Context, tenant, id string) error {
	if err := (ID{id}).check(); err != nil {
		return err
	}
	if o.Hooks == nil {
		return ErrUnavailable
	}
	_, err := o.Webhooks.WebhookByID(ctx, tenant, id)
	return err
}

// A Redelivery is the request of webhook.redeliver: exactly one of EventID,
// DeliveryID and AllDead says what is sent again.
type Redelivery struct {
	ID         string `json:"id"` // of the webhook
	EventID    string `json:"event_id,omitempty"`
	DeliveryID string `json:"delivery_id,omitempty"`
	AllDead    bool   `json:"all_dead,omitempty"` // all that was given up and is kept
}

// Redelivered answers webhook.redeliver.
type Redelivered struct {
	Redelivered int `json:"redelivered"`
}

// RedeliverWebhook sends events again that were sent before, or given up, with
// all their tries before them.
func (o *Operations) RedeliverWebhook(ctx context.Context, tenant string, in Redelivery) (Redelivered, error) {
	named := 0
	for _, given := range []bool{in.EventID != "", in.DeliveryID != "", in.AllDead} {
		if given {
			named++
		}
	}
	if named != 1 {
		return Redelivered{}, invalid("event_id", endpoint.CodeRequired, "want exactly one of event_id, delivery_id and all_dead")
	}
	if err := o.webhookIs(ctx, tenant, in.ID); err != nil {
		return Redelivered{}, fmt.Errorf("redeliver to webhook %s: %w", in.ID, err)
	}
	n, err := o.Hooks.Redeliver(ctx, tenant, in.ID, in)
	if err != nil {
		return Redelivered{}, fmt.Errorf("redeliver to webhook %s: %w", in.ID, err)
	}
	return Redelivered{n}, nil
}

// A Tested answers webhook.test.
type Tested struct {
	EventID string `json:"event_id"`
}

// TestWebhook sends the event webhook.test to a webhook, whatever it is
// subscribed to. webhook.deliveries says what became of it.
func (o *Operations) TestWebhook(ctx context.Context, tenant string, in ID) (Tested, error) {
	if err := o.webhookIs(ctx, tenant, in.ID); err != nil {
		return Tested{}, fmt.Errorf("test webhook %s: %w", in.ID, err)
	}
	id, err := o.Hooks.Test(ctx, tenant, in.ID)
	if err != nil {
		return Tested{}, fmt.Errorf("test webhook %s: %w", in.ID, err)
	}
	return Tested{id}, nil
}

// hookTable is the part about what hears of events.
func (o *Operations) hookTable() []operation {
	return []operation{
		own("webhook", "create", o.CreateWebhook, endpoint.ScopeWebhooksManage),
		own("webhook", "get", o.GetWebhook, endpoint.ScopeWebhooksRead),
		own("webhook", "list", o.ListWebhooks, endpoint.ScopeWebhooksRead),
		own("webhook", "update", o.UpdateWebhook, endpoint.ScopeWebhooksManage),
		own("webhook", "rotate", o.RotateWebhook, endpoint.ScopeWebhooksManage),
		own("webhook", "delete", o.DeleteWebhook, endpoint.ScopeWebhooksManage),
		own("webhook", "deliveries", o.WebhookDeliveries, endpoint.ScopeWebhooksRead),
		own("webhook", "redeliver", o.RedeliverWebhook, endpoint.ScopeWebhooksManage),
		own("webhook", "test", o.TestWebhook, endpoint.ScopeWebhooksManage),
	}
}
