package yappr

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

// Limits of a page.
const (
	defaultPage = 50
	maxPage     = 200 // more is cut to it
	maxOffset   = 1_000_000
)

// A listing is one page of the endpoints, the newest first.
type listing struct {
	Data   []view `json:"data"`
	Total  int    `json:"total"`
	Limit  int    `json:"limit"`
	Offset int    `json:"offset"`
}

// list answers with one page. How many there are counts what Yappr has only.
func (f *face) list(r request) (reply, error) {
	limit, offset, err := pageOf(r)
	if err != nil {
		return reply{}, err
	}
	page, err := do[control.Page[control.EndpointView]](f, r.Context(), r.cred, operation("list"), control.EndpointQuery{
		PageRequest: control.PageRequest{Limit: limit}, Offset: offset, Newest: true, Count: true, Filter: endpoint.Filter{Kinds: shownKinds}})
	if err != nil {
		return reply{}, err
	}
	out := listing{Data: make([]view, len(page.Items)), Limit: limit, Offset: offset}
	for i, v := range page.Items {
		out.Data[i] = f.viewOf(v)
	}
	if page.Total != nil {
		out.Total = *page.Total
	}
	return reply{http.StatusOK, out}, nil
}

// pageOf reads which page is wanted. Anything else in the query is refused: a
// filter that is not read would answer with every endpoint.
func pageOf(r request) (limit, offset int, err error) {
	limit = defaultPage
	for name, values := range r.URL.Query() {
		switch {
		case name != "limit" && name != "offset":
			return 0, 0, refuse(http.StatusBadRequest, codeQuery, fmt.Sprintf("%.64q is not read here; want only limit and offset", name))
		case len(values) != 1:
			return 0, 0, refuse(http.StatusBadRequest, codeQuery, name+": it is there twice")
		}
		n, err := strconv.Atoi(values[0])
		switch {
		case err != nil, name == "limit" && n < 1, n < 0, n > maxOffset:
			return 0, 0, refuse(http.StatusBadRequest, codeQuery, fmt.Sprintf("%s: want a whole number from %d to %d", name, least(name), most(name)))
		case name == "limit":
			limit = min(n, maxPage)
		default:
			offset = n
		}
	}
	return limit, offset, nil
}

func least(name string) int {
	if name == "limit" {
		return 1
	}
	return 0
}

func most(name string) int {
	if name == "limit" {
		return maxPage
	}
	return maxOffset
}

// status answers which of the newer kinds of endpoint can be made: those with a
// password, where the account has a domain to log in at; registering at a PBX is
// not served yet.
func (f *face) status(r request) (reply, error) {
	if err := noQuery(r); err != nil {
		return reply{}, err
	}
	acct, err := do[control.AccountView](f, r.Context(), inner(r.cred, endpoint.ScopeAccountRead),
		control.Request{Noun: "account", Verb: "get"}, control.AccountQuery{})
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, map[string]bool{
		"credentials_available": acct.SIP.DomainLabel != "",
		"register_available":    false,
	}}, nil
}

// A described is one route as GET / lists it.
type described struct {
	Method string   `json:"method"`
	Path   string   `json:"path"`
	Scopes []string `json:"scopes"`
}

// discover lists the routes, to anybody.
func (f *face) discover(w http.ResponseWriter, _ *http.Request) {
	all := []described{}
	for _, s := range served {
		for _, method := range s.by.all() {
			all = append(all, described{method, s.path, []string{s.by[method].scope}})
		}
	}
	f.showRate(w, control.Rate{})
	answer(w, http.StatusOK, map[string]any{"name": "Patchbay: Yappr API", "endpoints": all})
}

// all returns the methods in the order of the alphabet.
func (m methods) all() []string {
	all := make([]string, 0, len(m))
	for method := range m {
		all = append(all, method)
	}
	slices.Sort(all)
	return all
}
