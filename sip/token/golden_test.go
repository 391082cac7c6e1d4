package token_test

// Computed by another implementation of the format, with key 3 of 32 octets 0xa5.
const (
	goldenCall   = "2d1g0j814d2mf2dbpnngit2dqiaohmup"
	goldenReject = "2d90000000000000000dchf9ov0un997"
	goldenBranch = "z9hG4bK2db00j814d2mf2dbpnnhie4mr5udusse-4294967295"
)
