package gateway_test

import (
	"fmt"
	"net/http"
	"reflect"
	"testing"

	"patchbay/actors/endpoint"
)

var problemType = reflect.TypeFor[endpoint.Problem]()

// failureTexts say what each status of an error means.
var failureTexts = map[int]string{
	400: "The request is wrong; `problems` names every field",
	401: "There is no key, or it is not good",
	403: "The key lacks the scope, the operation is the operator's, or a key came in clear over a network",
	404: "There is no such object, or it is another account's",
	408: "The body did not come whole within 10 s",
	409: "The object exists, changed in the same moment, or something stands in the way",
	412: "The object is not at the revision of If-Match",
	413: "The body is longer than 1 MiB",
	415: "The body is no application/json",
	429: "The account has made all its requests of this minute, or has as many objects as it may",
	500: "Ours to fix; the log has the request id",
	503: "Too many requests at once, or the cluster does not answer: try again",
}

// errorReplies are the error responses of the document.
func errorReplies(t testing.TB) doc {
	t.Helper()
	out := doc{}
	for status, text := range failureTexts {
		heads := doc{"X-Request-Id": doc{"$ref": "#/components/headers/X-Request-Id"}}
		if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
			heads["Retry-After"] = doc{"$ref": "#/components/headers/Retry-After"}
		}
		out[fmt.Sprint(status)] = doc{"description": text, "headers": heads,
			"content": doc{"application/problem+json": doc{"schema": doc{"$ref": "#/components/schemas/Error"}}}}
	}
	return out
}

func replyHeaders() doc {
	out := doc{}
	for name, text := range map[string]string{
		"X-Request-Id": "Of the request, where it had a sane one, else a new one; it is in our log",
		"ETag":         "Revision of the object", "Location": "Path of what was made", "Link": "Next page, rel=next", "Retry-After": "Seconds",
		"X-RateLimit-Limit": "Requests a minute, where the account has a limit", "X-RateLimit-Remaining": "Requests that could be made at once now",
		"X-RateLimit-Reset": "Unix time at which all of them could be made",
	} {
		out[name] = doc{"description": text, "schema": doc{"type": "string"}}
	}
	return out
}
