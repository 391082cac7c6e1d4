package broker

import (
	"fmt"
	"slices"

	"github.com/nats-io/nats-server/v2/server"

	"patchbay/cluster/envelope"
)

// Status says how the server is, as far as it can tell itself: which streams it
// leads, and which of their replicas are behind or gone. Nothing where
// JetStream does not answer.
func (s *Server) Status() *envelope.BrokerStatus {
	st := &envelope.BrokerStatus{Brokers: s.brokers(), Of: max(s.cfg.Cluster.Size, 1)}
	info, err := s.nats.Jsz(&server.JSzOptions{Accounts: true, Streams: true})
	if err != nil {
		st.Behind = []string{"JetStream does not answer"}
		return st
	}
	if m := info.Meta; m != nil {
		st.MetaLeader = m.Leader
		if m.Leader == s.cfg.Name {
			st.Behind = append(st.Behind, behind("meta", m.Replicas)...)
		}
	}
	for _, account := range info.AccountDetails {
		for i := range account.Streams {
			stream := &account.Streams[i]
			if c := stream.Cluster; c != nil && c.Leader != s.cfg.Name {
				continue
			}
			st.Leads = append(st.Leads, stream.Name)
			if stream.Cluster != nil {
				st.Behind = append(st.Behind, behind(stream.Name, stream.Cluster.Replicas)...)
			}
		}
	}
	slices.Sort(st.Leads)
	slices.Sort(st.Behind)
	return st
}

// behind names the replicas of a group that could not take over now.
func behind(group string, replicas []*server.PeerInfo) (list []string) {
	for _, r := range replicas {
		switch {
		case r.Offline:
			list = append(list, fmt.Sprintf("%s on %s: offline", group, r.Name))
		case !r.Current:
			list = append(list, fmt.Sprintf("%s on %s: %d behind", group, r.Name, r.Lag))
		}
	}
	return list
}
