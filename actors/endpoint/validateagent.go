package endpoint

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Limits of agents.
const (
	MaxHeadersOut  = 32         // headers of requests to an agent
	MaxMetadata    = 64         // entries of an agent's metadata
	MaxAgentCodecs = 8          // names in webrtc.codecs
	MaxFailover    = 5          // agents asked after one
	maxMetaValue   = 1024       // bytes
	MaxDurationMs  = 86_400_000 // of a call: a day
	maxJoinMs      = 120_000
	maxAttemptMs   = 30_000
	maxAttempts    = 5
)

// codecNames are the codecs that pass through (design D7), by RTP name.
var codecNames = []string{"PCMU", "PCMA", "G722", "opus"}

// ownHeaders are set by the connector and not by an agent's owner.
var ownHeaders = []string{"authorization", "connection", "content-length", "content-type", "host", "te", "trailer",
	"transfer-encoding", "upgrade"}

// Validate returns every mistake that keeps the agent from being stored.
func (a *Agent) Validate() []Problem {
	var ps problems
	ps.between("v", int64(a.V), currentVersion, currentVersion)
	ps.uuid("id", a.ID)
	ps.tenant("tenant", a.Tenant)
	ps.text("name", a.Name, 1, MaxName)
	a.WebRTC.validate(&ps)
	if a.MaxDurationMs != 0 {
		ps.between("max_duration_ms", a.MaxDurationMs, 1000, MaxDurationMs)
	}
	if a.JoinTimeoutMs != 0 {
		ps.between("join_timeout_ms", a.JoinTimeoutMs, 1000, maxJoinMs)
	}
	a.validateFailover(&ps)
	ps.document("context_schema", a.ContextSchema)
	ps.document("call_template", a.CallTemplate)
	a.validateWebhook(&ps)
	if len(a.Metadata) > MaxMetadata {
		ps.add("metadata", CodeTooMany, "%d entries, want at most %d", len(a.Metadata), MaxMetadata)
	}
	for _, name := range sortedKeys(a.Metadata) {
		ps.text("metadata", name, 1, MaxName)
		ps.text("metadata."+name, a.Metadata[name], 0, maxMetaValue)
	}
	return ps
}

// validateFailover does not look the agents up: one that is gone by the time of
// a call is passed over.
func (a *Agent) validateFailover(ps *problems) {
	if len(a.Failover) > MaxFailover {
		ps.add("failover", CodeTooMany, "%d agents, want at most %d", len(a.Failover), MaxFailover)
		return
	}
	for i, id := range a.Failover {
		field := fmt.Sprintf("failover[%d]", i)
		ps.uuid(field, id)
		if id == a.ID || slices.Index(a.Failover, id) < i {
			ps.add(field, CodeDuplicate, "%.40s is asked already", id)
		}
	}
}

func (t *AgentTransport) validate(ps *problems) {
	switch t.Connector {
	case ConnectHTTP:
		t.validateHTTP(ps)
	case ConnectNATS, ConnectDialIn:
		t.refuseHTTP(ps)
	case "":
		ps.add("webrtc.connector", CodeRequired, "want nats, http or dialin")
	default:
		ps.word("webrtc.connector", string(t.Connector), string(ConnectNATS), string(ConnectHTTP), string(ConnectDialIn))
	}
	t.validateCodecs(ps)
	if t.TimeoutMs != 0 {
		ps.between("webrtc.timeout_ms", int64(t.TimeoutMs), 100, maxAttemptMs)
	}
	ps.between("webrtc.attempts", int64(t.Attempts), 0, maxAttempts)
	ps.document("webrtc.session", t.Session)
	ps.word("webrtc.data_channel", t.DataChannel, "", "auto", "off")
	ps.word("webrtc.on_close", t.OnClose, "", "hangup", "fallback", "hold")
	if t.CallTools && (t.Dialect != DialectOpenAI || t.DataChannel == "off") {
		ps.add("webrtc.call_tools", CodeInvalid, "belongs to dialect openai, with its data channel")
	}
}

func (t *AgentTransport) validateHTTP(ps *problems) {
	switch {
	case t.URL == "":
		ps.add("webrtc.url", CodeRequired, "want the URL that takes our offer")
	case len(t.URL) > MaxText:
		ps.add("webrtc.url", CodeTooLong, "%d bytes, want at most %d", len(t.URL), MaxText)
	case !isHTTP(t.URL):
		ps.add("webrtc.url", CodeInvalid, "want http:// or https:// with a host and without credentials")
	}
	ps.word("webrtc.dialect", t.Dialect, "", DialectJSON, DialectOpenAI, DialectPipecat, DialectFastRTC, DialectWHIP)
	if ps.word("webrtc.auth_type", t.AuthType, "", "bearer") && (t.AuthType == "") != (t.AuthSecret == "") {
		ps.add("webrtc.auth_secret", CodeInvalid, "want a secret with auth_type bearer, and none without")
	}
	if len(t.Headers) > MaxHeadersOut {
		ps.add("webrtc.headers", CodeTooMany, "%d headers, want at most %d", len(t.Headers), MaxHeadersOut)
	}
	for _, name := range sortedKeys(t.Headers) {
		if !isToken(name) || slices.Contains(ownHeaders, strings.ToLower(name)) {
			ps.add("webrtc.headers", CodeInvalid, "%q is no header that may be set", name)
			continue
		}
		ps.text("webrtc.headers."+name, t.Headers[name], 0, maxMetaValue)
	}
}

// refuseHTTP catches parameters of http on agents that are not reached so.
func (t *AgentTransport) refuseHTTP(ps *problems) {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"url", t.URL != ""}, {"dialect", t.Dialect != ""}, {"auth_type", t.AuthType != ""},
		{"auth_secret", t.AuthSecret != ""}, {"headers", len(t.Headers) > 0},
	} {
		if f.set {
			ps.add("webrtc."+f.name, CodeInvalid, "belongs to connector http only")
		}
	}
}

func (t *AgentTransport) validateCodecs(ps *problems) {
	if len(t.Codecs) > MaxAgentCodecs {
		ps.add("webrtc.codecs", CodeTooMany, "%d codecs, want at most %d", len(t.Codecs), MaxAgentCodecs)
		return
	}
	for i, name := range t.Codecs {
		field := fmt.Sprintf("webrtc.codecs[%d]", i)
		if ps.word(field, name, codecNames...) && slices.Index(t.Codecs, name) < i {
			ps.add(field, CodeDuplicate, "%s is named twice", name)
		}
	}
}

func (ps *problems) document(field string, doc json.RawMessage) {
	switch {
	case len(doc) > MaxDocument:
		ps.add(field, CodeTooLong, "%d bytes, want at most %d", len(doc), MaxDocument)
	case len(doc) > 0 && !json.Valid(doc):
		ps.add(field, CodeInvalid, "want JSON")
	}
}

// isHTTP looks at a URL's shape only: what may be dialled is decided by media
// nodes when they dial.
func isHTTP(url string) bool {
	rest, ok := strings.CutPrefix(url, "https://")
	if !ok {
		rest, ok = strings.CutPrefix(url, "http://")
	}
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	return ok && isPrintable(url) && !strings.ContainsAny(url, " \"<>\\^`{|}") &&
		authority != "" && !strings.HasPrefix(authority, ":") && !strings.Contains(authority, "@")
}

// isToken is token of RFC 9110 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
