package envelope_test

import (
	"reflect"
	"testing"

	"patchbay/actors"
	"patchbay/cluster/envelope"
	"patchbay/internal/golden"
)

func TestAnInviteToANumberKeepsWhereItLeads(t *testing.T) {
	t.Parallel()
	led := actors.Led{To: "abcdefghijklmnopqrstuvwxyz", Partition: 200, Owner: "acme", Invite: sampleInvite, Packet: samplePacket}
	b := must(envelope.EncodeLed(led))
	golden.Compare(t, "testdata/led.txt", b)
	if got, err := envelope.DecodeLed(b); err != nil || !reflect.DeepEqual(got, led) {
		t.Errorf("got %+v, %v", got, err)
	}
}
