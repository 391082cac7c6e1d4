package main

import (
	"encoding/json"
	"testing"
	"time"

	"patchbay/control"
)

func TestAnAccountThatAsksTooMuchWaitsAndTheOthersDoNot(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	must[control.AccountView](b, "default", "account.create", `{"tenant":"acme","spec":{"limits":{"api_per_minute":60}}}`)
	for i := 0; ; i++ {
		code, raw := b.ask("acme", "agent.list", `{}`)
		if code == "" && i < 1000 {
			continue
		}
		var told control.Error
		if err := json.Unmarshal(raw, &told); err != nil || told.Code != control.CodeRate || told.RetryAfterMs < 1 || told.RetryAfterMs > 1000 || i < 60 {
			t.Fatalf("after %d requests: %s", i, raw)
		}
		break
	}
	must[control.Page[control.AgentView]](b, "default", "agent.list", `{}`)
	for range 3 { // ctl waits its turn
		b.mustCtl("--tenant", "acme", "agent", "list")
	}
	b.mustCtl("--tenant", "acme", "account", "update", "--api-per-minute", "1")
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if _, _, err := b.ctl("--tenant", "acme", "--timeout", "1s", "agent", "list"); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("one request a minute is not kept")
		}
	}
	must[control.AccountView](b, "default", "account.update", `{"tenant":"acme","patch":{"limits":{"api_per_minute":null}}}`)
	must[control.Page[control.AgentView]](b, "acme", "agent.list", `{}`)
}
