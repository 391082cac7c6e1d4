package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"patchbay/control"
)

// What owners entrust to a node is neither told again nor on its disk as it is.
func TestSecretsAreWrittenAndNeitherReadBackNorFoundOnTheDisk(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	agentSecret, hookSecret := "hush-agent-6f1c2a", "hush-webhook-9b03d4"
	agent := must[control.AgentView](b, "default", "agent.create",
		`{"spec":{"webrtc":{"connector":"http","url":"https://bot.example.com","auth_type":"bearer","auth_secret":"`+agentSecret+`"}}}`)
	must[control.AccountView](b, "default", "account.update", `{"patch":{"sip":{"fallback":{"url":"https://hook.example.com","secrets":["`+hookSecret+`"]}}}}`)
	key := must[control.MadeKey](b, "default", "key.create", `{"name":"k","scopes":["calls:read"]}`)
	admin, err := os.ReadFile(filepath.Join(b.cfg.Node.DataDir, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{agentSecret, hookSecret, key.Secret, strings.TrimSpace(string(admin))}
	must[control.AgentView](b, "default", "agent.update", `{"id":"`+agent.ID+`","patch":{"name":"other"}}`)
	for op, body := range map[string]string{"agent.get": `{"id":"` + agent.ID + `"}`, "agent.list": `{}`, "account.get": `{}`, "account.list": `{}`,
		"key.get": `{"id":"` + key.ID + `"}`, "key.list": `{}`} {
		code, raw := b.ask("default", op, body)
		for _, secret := range secrets {
			if code != "" || bytes.Contains(raw, []byte(secret)) {
				t.Errorf("%s: %q, %s", op, code, raw)
			}
		}
		if strings.HasPrefix(op, "a") && !bytes.Contains(raw, []byte(`"secret_set":true`)) {
			t.Errorf("%s does not say that there is a secret: %s", op, raw)
		}
	}
	if out := b.mustCtl("export"); strings.Contains(out, agentSecret) {
		t.Error("an export has the agent's secret")
	}
	b.stop()
	files := 0
	err = filepath.WalkDir(b.cfg.Node.DataDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "admin.key" {
			return err
		}
		files++
		raw, err := os.ReadFile(path)
		for _, secret := range secrets {
			if bytes.Contains(raw, []byte(secret)) {
				t.Errorf("%s holds %.12s...", path, secret)
			}
		}
		return err
	})
	if err != nil || files < 5 {
		t.Errorf("%d files, %v", files, err)
	}
}
