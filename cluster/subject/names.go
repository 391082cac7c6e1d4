package subject

import "patchbay/actors/endpoint"

// Nouns of what the APIs keep beside endpoints and agents.
const (
	NounApplication  Noun = "app"
	NounRegistration Noun = "reg"
	NounThrottle     Noun = "thr"
)

// KeyUnique holds which object has a name alone.
func KeyUnique(tenant string, c endpoint.Claimed) string {
	if c.Space == endpoint.SpaceUsername {
		return c.Space + "." + Token(tenant) + "." + Token(c.Name)
	}
	return Token(c.Space) + "." + Token(c.Name)
}

// KeyApplication holds one application.
func KeyApplication(tenant, id string) string { return "app." + Token(tenant) + "." + Token(id) }

// KeyRegistration holds one registration that stands alone.
func KeyRegistration(tenant, id string) string { return "rgo." + Token(tenant) + "." + Token(id) }

// KeyThrottle holds one throttle.
func KeyThrottle(tenant, id string) string { return "thr." + Token(tenant) + "." + Token(id) }

// KeyThrottled holds when the latest calls under a throttle were.
func KeyThrottled(tenant, id string) string { return "thrn." + Token(tenant) + "." + Token(id) }
