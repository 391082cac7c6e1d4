package ultravox_test

import (
	"bytes"
	"context"
	"encoding/json"

	"patchbay/control"
)

func tmp[In, Out any](ctx context.Context, tenant string, body []byte, f func(context.Context, string, In) (Out, error)) (any, error) {
	var in In
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, err
	}
	return f(ctx, tenant, in)
}

func hooksTmp(ctx context.Context, o *control.Operations, cred control.Credential, r control.Request) (any, error) {
	switch r.Verb {
	case "create":
		return tmp(ctx, cred.Tenant, r.Body, o.CreateWebhook)
	case "get":
		return tmp(ctx, cred.Tenant, r.Body, o.GetWebhook)
	case "list":
		return tmp(ctx, cred.Tenant, r.Body, o.ListWebhooks)
	case "update":
		return tmp(ctx, cred.Tenant, r.Body, o.UpdateWebhook)
	case "delete":
		return tmp(ctx, cred.Tenant, r.Body, o.DeleteWebhook)
	}
	return nil, nil
}
