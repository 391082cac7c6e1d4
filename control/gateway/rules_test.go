package gateway_test

import "patchbay/control"

// A rule is one paragraph of the reference, in the words of Markdown that have
// code in backticks only.
type rule struct{ title, text string }

const referenceIntro = "Every operation of the [control API](control-api.md) is also a route under `/v1`, through the same function: same rules, same limits, same " +
	"errors. The vendors' own APIs are beside it ([apis.md](apis.md)). A node with the role `control` serves them at `http.tls_listen` (HTTPS, " +
	"`127.0.0.1:8443`) and `http.listen` (`127.0.0.1:8080`); it describes itself at `/openapi.json` (OpenAPI 3.1), `/reference` (a page), " +
	"`/reference.md` and `/llms.txt`."

// rules are those of all routes.
var rules = []rule{
	{"Keys", "`Authorization: Bearer <key>` or `X-API-Key: <key>`. The first start writes the operator's key to `admin.key` in the data directory; " +
		"it is good for every API that the node serves. `POST /v1/keys` makes others, which may do less. The account comes from the key."},
	{"HTTPS", "The node makes a certificate for itself, signed by an authority of its own: give clients `https/ca.pem` of the data directory, or set " +
		"`http.tls_certificate_file`. Without TLS a key is taken on loopback only: from another machine such a request is `403`, unless `http.plain_keys` " +
		"says that a proxy or the network encrypts. Documents and agents that dial in are served there all the same."},
	{"Bodies", "JSON objects of at most 1 MiB, `application/json`. The fields of an object and those of its creation stand side by side. An unknown field or " +
		"parameter is an error, and all mistakes are told at once. Times are RFC 3339, durations milliseconds."},
	{"Changes", "`PATCH` takes a merge patch (RFC 7396): what is absent stays, `null` removes, a list is replaced whole. `DELETE` answers `204`."},
	{"Versions", "`ETag` is the object's revision. With `If-Match` a change is made at that revision only, else it is `412`; `If-None-Match` makes a `GET` `304` where " +
		"nothing has changed. Where an object has no revision, `If-Match` is refused."},
	{"Creations", "`201` with `Location`. With `Idempotency-Key` the same body makes one object within 24 h, however often it is sent; another body under the same key is `409`."},
	{"Lists", "`?limit=` (1 to 200, 50 if absent) and `?cursor=`. `next` of a page, and `Link: <...>; rel=\"next\"`, lead to the next one."},
	{"Rates", "Where the account or its project has `limits.api_per_minute`, replies have `X-RateLimit-Limit`, `X-RateLimit-Remaining`, `X-RateLimit-Reset` (Unix time), " +
		"and `RateLimit` and `RateLimit-Policy` of the IETF's draft (seconds). What is over is `429` with `Retry-After`. Requests that are refused count; a key that is not good counts nowhere."},
	{"Request ids", "`X-Request-Id` of a request, 1 to 64 letters, digits and `-_.:`, is taken over; else one is made. It is in the reply, in the error's body and in the node's log."},
	{"Browsers", "Pages of other hosts may not use the API unless `http.cors_origins` names them. `OPTIONS` answers with `Allow`."},
	{"Hosts", "Every API is at every host name, under its own paths. `http.hosts` gives one a name of its own, where it is alone; `http.faces` says which are served at all."},
}

// codeTexts say what a client does about each code.
var codeTexts = map[control.Code]string{
	control.CodeInvalid:     "Mend the request: `problems` names each `field`, with a `code` and a `message`",
	control.CodeNotFound:    "There is no such object, or it is another account's",
	control.CodeConflict:    "Read the object again, then change it; or the message says what stands in the way. `412` where `If-Match` was sent and the object has changed",
	control.CodeExists:      "The name is taken",
	control.CodeLimit:       "The account has as many as it may",
	control.CodeRate:        "Wait `Retry-After` seconds, or `retry_after_ms`",
	control.CodeBusy:        "Too many requests at once: try again",
	control.CodeUnavailable: "The cluster did not answer in time: try again",
	control.CodeDenied:      "Send a key that is good",
	control.CodeForbidden:   "The key is good and does not allow it",
	control.CodeInternal:    "Ours to fix: tell the operator the request id",
}
