package envelope

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// heads that are written and read without encoding/json.
func fastHeads() []interface {
	writer
	fastReader
} {
	return []interface {
		writer
		fastReader
	}{&inviteHead{}, &inDialogHead{}, &sendHead{}}
}

// fill sets every field, so that a field added to one of the structs and
// forgotten here shows.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Interface().(type) {
	case netip.AddrPort:
		v.Set(reflect.ValueOf(netip.MustParseAddrPort("[2001:db8::1%eth0]:5060")))
		return
	case call.ID:
		v.Set(reflect.ValueOf(call.ID(77)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.String:
		v.SetString("text of " + v.Type().Name())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(1)
	case reflect.Uint64, reflect.Uint32:
		v.SetUint(1 << 31)
	default:
		t.Fatalf("no value for a %s", v.Type())
	}
}

func TestFastWritersWriteEveryFieldAsJSONDoes(t *testing.T) {
	t.Parallel()
	for _, h := range fastHeads() {
		for _, filled := range []bool{false, true} {
			if filled {
				fill(t, reflect.ValueOf(h).Elem())
			} else {
				reflect.ValueOf(h).Elem().FieldByName("V").SetInt(Version)
			}
			want, err := json.Marshal(h)
			if err != nil {
				t.Fatal(err)
			}
			got := h.append(nil)
			if string(got) != string(want) {
				t.Errorf("%T:\n got  %s\n want %s", h, got, want)
			}
			again := reflect.New(reflect.TypeOf(h).Elem())
			if !again.Interface().(fastReader).read(got) || !reflect.DeepEqual(again.Interface(), h) {
				t.Errorf("%T: %s was read as %+v", h, got, again)
			}
		}
	}
}

func TestStringsAreWrittenAsJSONDoes(t *testing.T) {
	t.Parallel()
	for c := range 0x250 {
		s := "a" + string(rune(c)) + "b"
		if want, _ := json.Marshal(s); string(appendString(nil, s)) != string(want) {
			t.Errorf("%q is written %s, want %s", s, appendString(nil, s), want)
		}
	}
}

// FuzzFastReader checks that what the fast reader understands, encoding/json
// understands as the same.
func FuzzFastReader(f *testing.F) {
	for _, h := range fastHeads() {
		f.Add(h.append(nil))
	}
	flow := call.Flow{Edge: "e", Boot: 1, Transport: call.UDP, Local: netip.MustParseAddrPort("192.0.2.1:5060"), Conn: 3, Advertise: "sip.example.com:5070"}
	f.Add((&inviteHead{Cancel: true, Invite: endpoint.Invite{Address: "s/x", CSeq: 1}, Flow: flow}).append(nil))
	f.Add((&sendHead{Flow: flow, To: flow.Local, Host: "h"}).append(nil))
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, h := range fastHeads() {
			if !h.read(line) {
				continue
			}
			slow := reflect.New(reflect.TypeOf(h).Elem()).Interface()
			if err := json.Unmarshal(line, slow); err != nil || !reflect.DeepEqual(slow, h) {
				t.Errorf("%s\n fast %+v\n json %+v, %v", line, h, slow, err)
			}
		}
	})
}
