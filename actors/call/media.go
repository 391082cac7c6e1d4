package call

import "net/netip"

// A Codec is one payload format of an offer or an answer (RFC 3551, RFC 8866).
type Codec struct {
	PayloadType uint8  `json:"pt"`
	Name        string `json:"name"`               // canonical: PCMU, PCMA, G722, opus
	ClockRate   uint32 `json:"clock_rate"`         // of RTP, Hz; 8000 for G722 (RFC 3551 4.5.2)
	Channels    uint8  `json:"channels,omitempty"` // 0 means 1
	Fmtp        string `json:"fmtp,omitempty"`
}

// A Direction says who sends audio, seen from the side that wrote it.
type Direction string

// Directions of RFC 3264 5.1.
const (
	SendRecv Direction = "sendrecv"
	SendOnly Direction = "sendonly"
	RecvOnly Direction = "recvonly"
	Inactive Direction = "inactive"
)

// An Offer is the audio a carrier offers: the first usable audio m-line.
type Offer struct {
	Addr      netip.AddrPort `json:"addr"`               // where the carrier wants RTP
	RTCP      netip.AddrPort `json:"rtcp"`               // where it wants RTCP; zero when multiplexed
	RTCPMux   bool           `json:"rtcp_mux,omitempty"` // RFC 5761
	Codecs    []Codec        `json:"codecs"`             // in the offerer's order, telephone-event left out
	DTMF      []Codec        `json:"dtmf,omitempty"`     // telephone-event formats, one per clock rate
	Ptime     int            `json:"ptime,omitempty"`    // ms; 0: not said
	Direction Direction      `json:"direction"`
}

// An Answer is the audio we answer with: exactly one codec, the agent's choice.
// To an offer of ours it is the carrier's, as far as we follow it: the first
// codec of it that we offered.
type Answer struct {
	Addr      netip.AddrPort `json:"addr"`           // advertised address and port of our RTP; of a carrier's answer, of its own
	RTCP      netip.AddrPort `json:"rtcp,omitzero"`  // of a carrier's answer: where it wants RTCP; zero when multiplexed
	Codec     Codec          `json:"codec"`          // with the payload number of the side that it is sent to
	DTMF      *Codec         `json:"dtmf,omitempty"` // telephone-event at the codec's clock rate
	Ptime     int            `json:"ptime,omitempty"`
	RTCPMux   bool           `json:"rtcp_mux,omitempty"`
	Direction Direction      `json:"direction"`
}

// Quality is what was measured of a call's carrier leg.
type Quality struct {
	PacketsReceived uint64  `json:"packets_received"`
	PacketsSent     uint64  `json:"packets_sent"`
	PacketsLost     uint64  `json:"packets_lost"` // on the way to us, RFC 3550 A.3
	LossPercent     float64 `json:"loss_percent"`
	RemoteLost      uint64  `json:"remote_lost"` // as the carrier reports it
	JitterMs        float64 `json:"jitter_ms"`   // RFC 3550 6.4.1
	RTTMs           float64 `json:"rtt_ms"`      // from RTCP; 0: not known
	Filled          uint64  `json:"filled"`      // packets of silence sent for an agent that paused
	Rejected        uint64  `json:"rejected"`    // packets dropped: wrong source
}
