package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/cluster/envelope"
)

const opTransfer = "transfer"

// Transfer tells a live call of the tenant to have its carrier call somebody
// else, or returns endpoint.ErrNotFound. With t.Other the target is the other
// side of that call, wherever it is carried.
func (c *Commander) Transfer(ctx context.Context, tenant string, id call.ID, t call.Transfer) error {
	if t.Other != 0 {
		other, err := c.Get(ctx, tenant, t.Other)
		if err != nil {
			return err
		}
		if other.Dialog == nil {
			return fmt.Errorf("call %s is not established", t.Other)
		}
		t.Replaces = other.Dialog
	}
	body, err := json.Marshal(t)
	if err != nil {
		return err
	}
	_, err = c.Do(ctx, tenant, id, opTransfer, body)
	return err
}

// transfer is the media node's side of Transfer.
func (d *CallDoor) transfer(ctx context.Context, cmd envelope.Command) (actors.CallStatus, error) {
	var t call.Transfer
	if err := json.Unmarshal(cmd.Body, &t); err != nil {
		return actors.CallStatus{}, errors.New("transfer: not the JSON that was expected")
	}
	status, err := d.get(ctx, cmd)
	if err != nil {
		return actors.CallStatus{}, err
	}
	return status, d.calls.Transfer(cmd.Call, t)
}
