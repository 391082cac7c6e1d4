package ultravox

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"patchbay/control"
)

// Bounds of paging.
const (
	defaultPage = 100
	maxPage     = 200
	maxWalk     = 50      // pages of an operation that are counted for a total
	maxBack     = 64      // pages that a cursor leads back by
	maxCursor   = 4 << 10 // bytes
)

// A page is one page of a list, as this API shows it. Total is absent where
// counting would mean reading everything.
type page struct {
	Next     *string `json:"next"`
	Previous *string `json:"previous"`
	Results  any     `json:"results"`
	Total    *int    `json:"total,omitempty"`
}

// A place is where in a list a page begins: the operation's cursor, and those
// of the pages before, the first aside. On the wire it is base64 of JSON.
type place struct {
	At   string   `json:"a"`
	Back []string `json:"b,omitempty"`
	Size int      `json:"-"`
}

// place reads cursor and pageSize. A size that is no number counts as none, and
// one beyond the largest as the largest.
func (a *ask) place() (place, error) {
	q := a.http.URL.Query()
	p := place{Size: defaultPage}
	if n, err := strconv.Atoi(q.Get("pageSize")); err == nil && n > 0 {
		p.Size = min(n, maxPage)
	}
	text := q.Get("cursor")
	if text == "" {
		return p, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(text) > maxCursor || json.Unmarshal(raw, &p) != nil || p.At == "" || len(p.Back) > maxBack {
		return p, invalidCursor()
	}
	return p, nil
}

// page shows results, whose next page begins at the operation's cursor next.
func (a *ask) page(p place, next string, results any, total *int) answer {
	out := page{Results: results, Total: total}
	if next != "" {
		after := place{At: next}
		if p.At != "" {
			after.Back = append(slices.Clone(p.Back), p.At)
			after.Back = after.Back[max(len(after.Back)-maxBack, 0):]
		}
		out.Next = a.link(&after)
	}
	if n := len(p.Back); n > 0 {
		out.Previous = a.link(&place{At: p.Back[n-1], Back: p.Back[:n-1]})
	} else if p.At != "" {
		out.Previous = a.link(nil)
	}
	return answer{status: http.StatusOK, body: out}
}

// link is the URL of another page of the list; nil: of the first.
func (a *ask) link(p *place) *string {
	q := a.http.URL.Query()
	q.Del("cursor")
	if p != nil {
		raw, _ := json.Marshal(p) // texts cannot fail
		q.Set("cursor", base64.RawURLEncoding.EncodeToString(raw))
	}
	u := url.URL{Path: a.http.URL.Path, RawQuery: q.Encode()}
	text := strings.TrimSuffix(control.AskedOf(a.http.Context()).BaseURL, "/") + u.String()
	return &text
}

// pageOf shows one page of a list that is at hand whole, the oldest first. A
// cursor names the item that the page begins with, and when that was made: where
// it is gone since, the page begins with the next.
func pageOf[T any](a *ask, all []T, name func(T) (id, created string)) (answer, error) {
	p, err := a.place()
	if err != nil {
		return answer{}, err
	}
	total, start := len(all), 0
	if p.At != "" {
		if start, err = startOf(all, p.At, name); err != nil {
			return answer{}, err
		}
	}
	shown, next := all[start:], ""
	if len(shown) > p.Size {
		id, created := name(shown[p.Size])
		shown, next = shown[:p.Size], id+"@"+created
	}
	if len(shown) == 0 {
		shown = []T{}
	}
	return a.page(p, next, shown, &total), nil
}

// startOf is where the page of a cursor begins.
func startOf[T any](all []T, at string, name func(T) (id, created string)) (int, error) {
	id, stamp, _ := strings.Cut(at, "@")
	if i := slices.IndexFunc(all, func(item T) bool { is, _ := name(item); return is == id }); i >= 0 {
		return i, nil
	}
	since, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		return 0, invalidCursor()
	}
	i := slices.IndexFunc(all, func(item T) bool {
		_, created := name(item)
		made, err := time.Parse(time.RFC3339Nano, created)
		return err == nil && !made.Before(since)
	})
	if i < 0 {
		return len(all), nil
	}
	return i, nil
}

func invalidCursor() *fault { return detail(http.StatusNotFound, "Invalid cursor") }
