package endpoint_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"patchbay/actors/endpoint"
	"patchbay/internal/golden"
)

// TestObjectsOfRelease1AreRead reads what the first release stored. Nothing
// under testdata/v1 is ever written again.
func TestObjectsOfRelease1AreRead(t *testing.T) {
	t.Parallel()
	read := map[string]func() any{
		"account.json":      func() any { return &endpoint.Account{} },
		"agent.json":        func() any { return &endpoint.Agent{} },
		"block.json":        func() any { return &endpoint.Block{} },
		"claims.json":       func() any { return &endpoint.Claims{} },
		"domain.json":       func() any { return &endpoint.Domain{} },
		"endpoint.json":     func() any { return &endpoint.Endpoint{} },
		"application.json":  func() any { return &endpoint.Application{} },
		"registration.json": func() any { return &endpoint.Registration{} },
		"throttle.json":     func() any { return &endpoint.Throttle{} },
		"throttled.json":    func() any { return &endpoint.Throttled{} },
		"key.json":          func() any { return &endpoint.APIKey{} },
	}
	read["webhook.json"] = func() any { return &endpoint.Webhook{} }
	read["webhooks.json"] = func() any { return &endpoint.Webhooks{} }
	read["trunk.json"] = func() any { return &endpoint.Trunk{} }
	files, err := filepath.Glob("testdata/v1/*")
	if err != nil || len(files) != len(read) {
		t.Fatalf("%d files for %d kinds, %v", len(files), len(read), err)
	}
	for _, file := range files {
		old, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		later := bytes.Replace(old, []byte(`"v": 1`), []byte(`"v": 1, "of_a_later_release": {"a": [1]}`), 1)
		for _, text := range [][]byte{old, later} {
			v := read[filepath.Base(file)]()
			if err := json.Unmarshal(text, v); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			again, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			golden.Covers(t, filepath.Base(file), old, again)
		}
	}
}
