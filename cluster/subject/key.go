package subject

import (
	"strconv"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// Buckets and streams.
const (
	BucketEndpoints = "endpoints"
	BucketCluster   = "cluster"
	BucketCalls     = "calls"
	BucketStats     = "stats"
	StreamEvents    = "EVENTS"
	StreamRecords   = "RECORDS"

	StreamRecordIndex = "RECORD_INDEX"
)

// A Noun is a kind of object that tenants list.
type Noun string

// Nouns of the endpoints bucket's index.
const (
	NounEndpoint Noun = "ep"
	NounAgent    Noun = "ag"
	NounNumber   Noun = "num"
)

// Keys of the endpoints bucket.

// KeyEndpoint holds one endpoint.
func KeyEndpoint(key endpoint.Key, partition uint8) string {
	return "ep." + strconv.Itoa(int(partition)) + "." + Token(string(key))
}

// KeyDomain holds whose an account's domain is.
func KeyDomain(key endpoint.Key, partition uint8) string {
	return "dom." + strconv.Itoa(int(partition)) + "." + Token(string(key))
}

// KeyNumber holds the claims on one phone number.
func KeyNumber(key endpoint.Key, partition uint8) string {
	return "num." + strconv.Itoa(int(partition)) + "." + Token(string(key))
}

// KeyAccount holds one account.
func KeyAccount(tenant string) string { return "acct." + Token(tenant) }

// KeyAgent holds one agent.
func KeyAgent(tenant, id string) string { return "agent." + Token(tenant) + "." + Token(id) }

// KeyIndex finds an object by its id: of an endpoint it holds partition and
// Key. It is written once, when the object is made, so that the order of its
// revisions is the order of creation.
func KeyIndex(tenant string, noun Noun, id string) string {
	return "idx." + Token(tenant) + "." + string(noun) + "." + Token(id)
}

// IndexOf matches the index entries of one noun of one tenant.
func IndexOf(tenant string, noun Noun) string {
	return "idx." + Token(tenant) + "." + string(noun) + ".*"
}

// KeyCount holds how many objects of a noun a tenant has.
func KeyCount(tenant string, noun Noun) string { return "count." + Token(tenant) + "." + string(noun) }

// KeySlot, in the cluster bucket, holds who has a media node's number.
func KeySlot(slot uint16) string { return "slot." + strconv.Itoa(int(slot)) }

// KeyCall, in the calls bucket, holds one call's entry, then its tombstone.
func KeyCall(id call.ID) string { return "c." + id.String() }

// KeyStats, in the stats bucket, holds the totals of one endpoint.
func KeyStats(key endpoint.Key, partition uint8) string {
	return "s." + strconv.Itoa(int(partition)) + "." + Token(string(key))
}
