package control

import (
	"context"
	"io"
	"mime"
	"net/http"

	"patchbay/actors/endpoint"
)

// park takes the offer of an agent that stands by for its next call: POST
// application/sdp with a key of the account, answered 201 with our SDP.
func (g *Gateway) park(w http.ResponseWriter, r *http.Request) error {
	cred, err := g.answering(r)
	if err != nil {
		return err
	}
	offer, err := sdpOf(w, r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerLimit)
	defer cancel()
	agent, err := g.Agent(ctx, cred.Tenant, r.PathValue("agent"))
	switch {
	case err != nil:
		return err
	case agent.WebRTC.Connector != endpoint.ConnectDialIn:
		return invalid("agent", endpoint.CodeInvalid, "want an agent with connector dialin")
	case !agent.IsActive:
		return invalid("agent", endpoint.CodeInvalid, "the agent is not active")
	}
	id, answer, err := g.DialIn.Park(ctx, agent, offer)
	if err != nil {
		return err
	}
	g.created(w, r.URL.Path+"/"+id, answer)
	return nil
}

// leave ends a session that stands by: DELETE at its Location.
func (g *Gateway) leave(w http.ResponseWriter, r *http.Request) error {
	cred, err := g.answering(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerLimit)
	defer cancel()
	if err := g.DialIn.Leave(ctx, cred.Tenant, r.PathValue("agent"), r.PathValue("session")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// answering verifies a key that agents use.
func (g *Gateway) answering(r *http.Request) (Credential, error) {
	key, err := bearer(r)
	if err != nil {
		return Credential{}, err
	}
	cred, err := g.Verify(r.Context(), key)
	if err == nil && !cred.Allows(endpoint.ScopeAgentsAnswer) {
		err = &Error{Code: CodeForbidden, Message: "the key lacks the scope " + endpoint.ScopeAgentsAnswer}
	}
	return cred, err
}

// sdpOf reads an offer.
func sdpOf(w http.ResponseWriter, r *http.Request) (string, error) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/sdp" {
		return "", invalid("Content-Type", endpoint.CodeInvalid, "want application/sdp")
	}
	offer, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOffer))
	if err != nil {
		return "", invalid("body", endpoint.CodeTooLong, "want at most 64 KiB of SDP")
	}
	return string(offer), nil
}

// created answers 201 with an SDP.
func (g *Gateway) created(w http.ResponseWriter, location, answer string) {
	w.Header().Set("Content-Type", "application/sdp")
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusCreated)
	if _, err := io.WriteString(w, answer); err != nil {
		g.Log.Debug("sdp answer not sent", "err", err)
	}
}
