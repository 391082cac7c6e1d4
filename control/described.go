package control

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
)

// A Description says what an operation takes, returns and wants, for faces that
// serve all of them and for their documents.
type Description struct {
	Noun, Verb string
	Scopes     []string     // a key needs them all
	Operator   bool         // for the operator's account only
	In, Out    reflect.Type // of request and reply
}

// Described returns every operation, in order of noun and verb.
func (o *Operations) Described() []Description {
	var all []Description
	for _, op := range o.table() {
		all = append(all, Description{Noun: op.noun, Verb: op.verb, Scopes: op.scopes, Operator: op.operator, In: op.in, Out: op.out})
	}
	slices.SortFunc(all, func(a, b Description) int { return strings.Compare(a.Noun+"."+a.Verb, b.Noun+"."+b.Verb) })
	return all
}

// Told is what a client may hear of an error of Do. What is ours to fix is
// logged in full.
func (o *Operations) Told(err error, log *slog.Logger) *Error {
	if o.Translate != nil {
		err = o.Translate(err)
	}
	told := errorOf(err)
	if told.Code == CodeInternal {
		log.Error("control request failed", "err", err)
	}
	return told
}

// places are those of this node, whichever way requests come.
func (o *Operations) places() *places {
	o.placed.Do(func() { o.room = newPlaces(o.Config.MaxInFlight) })
	return o.room
}

// Within carries out one operation in a place of its own and within
// control.request_timeout. It goes on where the client leaves: what was begun is
// finished. A panic costs this request only.
func (o *Operations) Within(ctx context.Context, cred Credential, r Request) (out any, err error) {
	if !o.places().enter(cred.Tenant) {
		return nil, &Error{Code: CodeBusy, Message: "too many control requests at once"}
	}
	defer o.places().leave(cred.Tenant)
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, fmt.Errorf("%s.%s panicked: %T", r.Noun, r.Verb, p) // what it says may hold a secret
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Config.RequestTimeout)
	defer cancel()
	return o.Do(ctx, cred, r)
}
