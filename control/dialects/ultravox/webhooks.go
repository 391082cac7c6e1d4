package ultravox

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"patchbay/actors/endpoint"
	"patchbay/control"
	"patchbay/internal/ultravox"
)

// maxWebhookURL is how long a webhook's URL may be, characters.
const maxWebhookURL = 200

// A webhook is a receiver of events, as this API shows it. Those of other kinds
// are not seen here.
type webhook struct {
	WebhookID        string    `json:"webhookId"`
	AgentID          *string   `json:"agentId"`
	Created          string    `json:"created"`
	URL              string    `json:"url"`
	Secrets          []string  `json:"secrets,omitempty"` // absent: the key may not see them
	Events           []string  `json:"events"`
	Status           string    `json:"status"`
	LastStatusChange *string   `json:"lastStatusChange"`
	RecentFailures   []failure `json:"recentFailures"`
}

type failure struct {
	Timestamp string `json:"timestamp"`
	Failure   string `json:"failure"`
}

// webhookNames are the names of a webhook's fields.
var webhookNames = names{"url": "url", "events": "events", "events.#": "events.#", "agent_id": "agentId", "secrets": "secrets", "secrets.#": "secrets.#"}

func webhookOf(v control.WebhookView) webhook {
	w := webhook{WebhookID: v.ID, AgentID: v.AgentID, Created: ultravox.Stamp(v.CreatedAt), URL: v.URL, Secrets: v.Secrets,
		Events: v.Events, Status: "normal", RecentFailures: make([]failure, len(v.RecentFailures))}
	if v.Status == control.HealthUnhealthy {
		w.Status = v.Status
	}
	if v.LastStatusChange != nil {
		at := ultravox.Stamp(*v.LastStatusChange)
		w.LastStatusChange = &at
	}
	for i, f := range v.RecentFailures {
		w.RecentFailures[i] = failure{ultravox.Stamp(f.At), f.Failure}
	}
	return w
}

// seesSecrets reports whether the key may see what signs.
func (a *ask) seesSecrets() bool { return a.cred.Allows(endpoint.ScopeWebhooksManage) }

func listWebhooks(a *ask) (answer, error) {
	agent := strings.ToLower(a.http.URL.Query().Get("agentId"))
	if agent != "" && !isUUID(agent) {
		return answer{}, fieldFault("Must be a valid UUID.", "agentId")
	}
	var all []webhook
	cursor := ""
	for range maxWalk {
		got, err := do[control.Page[control.WebhookView]](a, "webhook", "list",
			control.WebhookPage{PageRequest: control.PageRequest{Limit: maxPage, Cursor: cursor}, Secrets: a.seesSecrets()}, nil)
		if err != nil {
			return answer{}, err
		}
		for _, v := range got.Items {
			if v.Kind == endpoint.WebhookUltravox && (agent == "" || v.AgentID != nil && *v.AgentID == agent) {
				all = append(all, webhookOf(v))
			}
		}
		if cursor = got.Next; cursor == "" {
			break
		}
	}
	return pageOf(a, all, func(w webhook) (id, created string) { return w.WebhookID, w.Created })
}

// webhook reads the one that the path names.
func (a *ask) webhook() (control.WebhookView, error) {
	v, err := do[control.WebhookView](a, "webhook", "get", control.WebhookQuery{ID: a.http.PathValue("id"), Secrets: a.seesSecrets()}, nil)
	if err == nil && v.Kind != endpoint.WebhookUltravox {
		err = notFound()
	}
	return v, err
}

func getWebhook(a *ask) (answer, error) {
	v, err := a.webhook()
	return answer{status: http.StatusOK, body: webhookOf(v)}, err
}

func createWebhook(a *ask) (answer, error) {
	spec, err := a.webhookSpec(true)
	if err != nil {
		return answer{}, err
	}
	spec["kind"] = endpoint.WebhookUltravox
	v, err := do[control.WebhookView](a, "webhook", "create", control.NewWebhook{Spec: raw(spec)}, webhookNames)
	if err == nil && v.Secrets == nil {
		v.Secrets, _ = spec["secrets"].([]string)
	}
	return answer{status: http.StatusCreated, body: webhookOf(v)}, err
}

func putWebhook(a *ask) (answer, error)   { return a.changeWebhook(true) }
func patchWebhook(a *ask) (answer, error) { return a.changeWebhook(false) }

// changeWebhook changes what the body names; whole: it has to name the required
// fields.
func (a *ask) changeWebhook(whole bool) (answer, error) {
	spec, err := a.webhookSpec(whole)
	if err != nil {
		return answer{}, err
	}
	now, err := a.webhook()
	if err != nil {
		return answer{}, err
	}
	v, err := do[control.WebhookView](a, "webhook", "update", control.Change{ID: now.ID, Patch: raw(spec)}, webhookNames)
	if v.Secrets = now.Secrets; err == nil {
		if secrets, ok := spec["secrets"].([]string); ok {
			v.Secrets = secrets
		}
	}
	return answer{status: http.StatusOK, body: webhookOf(v)}, err
}

func deleteWebhook(a *ask) (answer, error) {
	v, err := a.webhook()
	if err != nil {
		return answer{}, err
	}
	_, err = do[control.Deleted](a, "webhook", "delete", control.Target{ID: v.ID}, nil)
	return answer{status: http.StatusNoContent}, err
}

// webhookSpec reads a body into fields of the operation's spec.
func (a *ask) webhookSpec(whole bool) (map[string]any, error) {
	f, err := a.form()
	if err != nil {
		return nil, err
	}
	f.ignore("webhookId", "created", "status", "lastStatusChange", "recentFailures")
	if whole {
		f.need("url", "events")
	}
	spec := map[string]any{}
	if url, ok := f.text("url", maxWebhookURL); ok {
		spec["url"] = url
	}
	if f.null("agentId") {
		spec["agent_id"] = nil
	} else if id, ok := f.text("agentId", 0); ok {
		if !isUUID(id) {
			f.wrong("agentId", "Must be a valid UUID.")
		}
		spec["agent_id"] = strings.ToLower(id)
	}
	if secrets, ok := f.texts("secrets", endpoint.MaxWebhookSecret); ok {
		spec["secrets"] = secrets
	}
	if events, ok := f.texts("events", 0); ok {
		known := endpoint.EventNames(endpoint.WebhookUltravox)
		for i, name := range events {
			if !slices.Contains(known, name) {
				f.below("events").wrong(fmt.Sprint(i), fmt.Sprintf("%q is not a valid choice.", name))
			}
		}
		spec["events"] = events
	}
	return spec, f.done()
}
