package subject_test

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
)

func TestTheTableOfSubjects(t *testing.T) {
	t.Parallel()
	const id = call.ID(0x0123456789abcdef)
	for want, got := range map[string]string{
		"pb.v1.invite.p.255":                        subject.Invite(255),
		"pb.v1.verdict.p.7":                         subject.Ruling(7),
		"pb.v1.explain.p.9":                         subject.Explain(9),
		"dom.3.abc":                                 subject.KeyDomain("abc", 3),
		"num.4.abc":                                 subject.KeyNumber("abc", 4),
		"pb.v1.call.65535.intake":                   subject.Intake(65535),
		"pb.v1.call.0.sip":                          subject.InDialog(0),
		"pb.v1.call.7.cmd":                          subject.Command(7),
		"pb.v1.call.find.04hkaps9lf6uu":             subject.Find(id),
		"pb.v1.call.04hkaps9lf6uu.evt":              subject.CallEvents(id),
		"pb.v1.call.04hkaps9lf6uu.do":               subject.CallDo(id),
		"pb.v1.edge.edge_1.send":                    subject.Send("edge.1"),
		"pb.v1.edge.out.udp":                        subject.SendAny(call.UDP),
		"pb.v1.beat.media.m-1":                      subject.Beat("media", "m-1"),
		"pb.v1.agent.a1.call.04hkaps9lf6uu.evt":     subject.AgentEvents("a1", id),
		"pb.v1.agent.a1.call.04hkaps9lf6uu.do":      subject.AgentDo("a1", id),
		"pb.v1.agent.a1.offer":                      subject.Offer("a1"),
		"pb.v1.agent.a1.w.w_1.cancel":               subject.Worker("a1", "w 1", "cancel"),
		"pb.v1.sync.p.3":                            subject.Sync(3),
		"pb.v1.sync.any":                            subject.SyncAny(),
		"pb.v1.evt.15.acme.call.started":            subject.Event(15, "acme", "call.started"),
		"pb.v1.ctl.acme.endpoint.create":            subject.Control("acme", "endpoint", "create"),
		"ep.3.abc":                                  subject.KeyEndpoint("abc", 3),
		"acct.acme":                                 subject.KeyAccount("acme"),
		"agent.acme.a1":                             subject.KeyAgent("acme", "a1"),
		"idx.acme.ep.e1":                            subject.KeyIndex("acme", subject.NounEndpoint, "e1"),
		"idx.acme.ag.*":                             subject.IndexOf("acme", subject.NounAgent),
		"key.abc":                                   subject.KeyAPIKey("abc"),
		"quota.acme.20261121":                       subject.KeyQuota("acme", "20261121"),
		"quota.acme.20261121-p1":                    subject.KeyProjectQuota("acme", "20261121", "p1"),
		"idem.acme.d1":                              subject.KeyOnce("acme", "d1"),
		"block.cb007100-28":                         subject.KeyBlock(netip.MustParsePrefix("203.0.113.0/28")),
		"block.20010db8000000000000000000000000-32": subject.KeyBlock(netip.MustParsePrefix("2001:db8::/32")),
		"pb.v1.node.do":                             subject.NodeDo,
		"count.acme.ep":                             subject.KeyCount("acme", subject.NounEndpoint),
		"pb.v1.rec.04hkaps9lf6uu":                   subject.Record(id),
		"pb.v1.recof.acme.04hkaps9lf6uu":            subject.RecordOf("acme", id),
		"pb.v1.recof.acme.*":                        subject.RecordsOf("acme"),
		"c.04hkaps9lf6uu":                           subject.KeyCall(id),
		"s.9.abc":                                   subject.KeyStats("abc", 9),
		"slot.12":                                   subject.KeySlot(12),
		"_":                                         subject.Token(""),
		"pb.v1.evt.0.a_b.x":                         subject.Event(0, "a.b", "x"),
		"idx.other_ep___.ep.e1":                     subject.KeyIndex("other.ep.>.", subject.NounEndpoint, "e1"),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestNoNameAddsATokenOrAWildcard(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.String().Draw(rt, "name")
		for what, s := range map[string]string{
			"edge":  subject.Send(name),
			"beat":  subject.Beat("media", name),
			"agent": subject.Offer(name),
			"key":   "x." + subject.KeyAgent("t", name),
			"quota": "pb.v1." + subject.KeyQuota(name, name),
			"idem":  "pb.v1." + subject.KeyOnce(name, name),
			"api":   "pb.v1.x." + subject.KeyAPIKey(endpoint.Key(name)),
			"ep":    "x." + subject.KeyEndpoint(endpoint.Key(name), 1),
			"ctl":   strings.TrimSuffix(subject.Control(name, "n", "v"), ".n.v") + ".x",
		} {
			if n := strings.Count(s, "."); n != 4 && what != "key" && what != "ep" && what != "ctl" || strings.ContainsAny(s, "*> \t\r\n") || strings.Contains(s, "..") {
				rt.Errorf("%s of %q: %q", what, name, s)
			}
		}
	})
}
