package ultravox

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/control"
	"patchbay/internal/ultravox"
)

// facts are what there is to tell of a live call.
func (a *ask) facts(v control.CallView) ultravox.Facts {
	f := ultravox.Facts{ID: v.ID, Created: v.Since, Joined: v.Answered, AgentID: v.Agent, AgentName: a.nameOf(v.Agent), Metadata: ultravox.Labels(v.Metadata)}
	if v.Direction == actors.Outbound {
		f.Outgoing = &ultravox.Outgoing{To: v.To.URI, From: v.From.URI}
	}
	return f
}

// factsOver are what there is to tell of a call that is over.
func (a *ask) factsOver(r call.Record) ultravox.Facts {
	f := ultravox.OfRecord(r)
	f.AgentName = a.nameOf(r.Agent)
	return f
}

func (a *ask) nameOf(agent string) string {
	if agent == "" {
		return ""
	}
	return a.face.names(a.http.Context(), a.cred.Tenant, agent)
}

// find returns the call that the path names, live or over. One that is over
// has a record; one that ends meanwhile has one a moment later.
func (a *ask) find() (f ultravox.Facts, live bool, err error) {
	id, ok := ultravox.ParseCallID(a.http.PathValue("id"))
	if !ok {
		return f, false, notFound()
	}
	of := control.ID{ID: id.String()}
	rec, err := do[call.Record](a, "record", "get", of, nil)
	if is(err, control.CodeNotFound) {
		v, gone := do[control.CallView](a, "call", "get", of, nil)
		if !is(gone, control.CodeNotFound) {
			return a.facts(v), true, gone
		}
		rec, err = do[call.Record](a, "record", "get", of, nil)
	}
	return a.factsOver(rec), false, err
}

// is reports that an operation failed with a code.
func is(err error, code control.Code) bool {
	f, ok := err.(*fault)
	return ok && f.code == code
}

func getCall(a *ask) (answer, error) {
	f, _, err := a.find()
	return answer{status: http.StatusOK, body: ultravox.Render(f)}, err
}

// deleteCall ends a live call. What remains of one that is over stays.
func deleteCall(a *ask) (answer, error) {
	f, live, err := a.find()
	switch {
	case err != nil:
		return answer{}, err
	case !live:
		return answer{}, detail(http.StatusConflict, "The call is over and its record is kept.")
	}
	_, err = do[control.HungUp](a, "call", "hangup", control.ID{ID: f.ID.String()}, nil)
	return answer{status: http.StatusNoContent}, err
}

// getSIPLogs answers as the documents do where there is no log: 425 while the
// call is live, 404 when it is over. None is stored here.
func getSIPLogs(a *ask) (answer, error) {
	_, live, err := a.find()
	switch {
	case err != nil:
		return answer{}, err
	case live:
		return answer{status: http.StatusTooEarly}, nil
	}
	return answer{status: http.StatusNotFound}, nil
}

func listAgentCalls(a *ask) (answer, error) {
	agent, err := a.agent()
	if err != nil {
		return answer{}, err
	}
	return a.calls(func(id string) bool { return id == agent.ID })
}

func listCalls(a *ask) (answer, error) {
	err := a.refuse("durationMax", "durationMin", "fromDate", "toDate", "metadata", "search", "sort", "timeOfDayEnd", "timeOfDayStart", "voiceId")
	if err != nil {
		return answer{}, err
	}
	var wanted []string
	for _, list := range a.http.URL.Query()["agentIds"] {
		for _, id := range strings.Split(list, ",") {
			if !isUUID(id) {
				return answer{}, fieldFault("Must be a valid UUID.", "agentIds")
			}
			wanted = append(wanted, strings.ToLower(id))
		}
	}
	return a.calls(func(id string) bool { return wanted == nil || slices.Contains(wanted, id) })
}

// Parts of the list of calls, as a cursor names them: those that are live come
// first, the oldest first, then what remains of those that are over.
const (
	livePart = "l"
	overPart = "r"
)

// calls shows one page of the calls of some agents.
func (a *ask) calls(of func(agent string) bool) (answer, error) {
	p, err := a.place()
	if err != nil {
		return answer{}, err
	}
	part, at, _ := strings.Cut(p.At, ":")
	shown, next := []ultravox.Call{}, ""
	switch part {
	case "", livePart:
		if shown, next, err = a.live(p.Size, at, of); err != nil || next != "" {
			break
		}
		at = ""
		fallthrough
	case overPart:
		var over []ultravox.Call
		over, next, err = a.over(p.Size-len(shown), at, of)
		shown = append(shown, over...)
	default:
		err = invalidCursor()
	}
	if err != nil {
		return answer{}, err
	}
	return a.page(p, next, shown, nil), nil
}

// live returns live calls after a moment, and where the rest begins.
func (a *ask) live(limit int, after string, of func(string) bool) (shown []ultravox.Call, next string, err error) {
	got, err := do[control.Page[control.CallView]](a, "call", "list", control.PageRequest{}, nil)
	if err != nil {
		return nil, "", err
	}
	slices.SortFunc(got.Items, func(x, y control.CallView) int { return cmp.Or(x.Since.Compare(y.Since), cmp.Compare(x.ID, y.ID)) })
	shown = []ultravox.Call{}
	last := ""
	for _, v := range got.Items {
		switch where := whereOf(v); {
		case where <= after || !of(v.Agent):
		case len(shown) == limit:
			return shown, livePart + ":" + last, nil
		default:
			shown, last = append(shown, ultravox.Render(a.facts(v))), where
		}
	}
	if len(shown) == limit { // records are on the next page
		next = overPart + ":"
	}
	return shown, next, nil
}

// whereOf is a live call's place in their order, as text that sorts so.
func whereOf(v control.CallView) string {
	nanos := strconv.FormatInt(v.Since.UnixNano(), 10)
	return strings.Repeat("0", max(20-len(nanos), 0)) + nanos + v.ID.String()
}

// over returns what remains of calls.
func (a *ask) over(limit int, cursor string, of func(string) bool) (shown []ultravox.Call, next string, err error) {
	got, err := do[control.Page[call.Record]](a, "record", "list",
		control.RecordPageRequest{PageRequest: control.PageRequest{Limit: limit, Cursor: cursor}}, nil)
	switch {
	case is(err, control.CodeInvalid):
		return nil, "", invalidCursor()
	case err != nil:
		return nil, "", err
	}
	for _, r := range got.Items {
		if of(r.Agent) {
			shown = append(shown, ultravox.Render(a.factsOver(r)))
		}
	}
	if got.Next != "" {
		next = overPart + ":" + got.Next
	}
	return shown, next, nil
}
