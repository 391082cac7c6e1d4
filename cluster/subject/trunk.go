package subject

// NounTrunk is the noun of trunks.
const NounTrunk Noun = "trk"

// KeyTrunk holds one trunk.
func KeyTrunk(tenant, id string) string { return "trk." + Token(tenant) + "." + Token(id) }
