package dialguard_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"patchbay/internal/dialguard"
)

func TestOnlyPublicAddressesAreDialledUnlessAllowed(t *testing.T) {
	t.Parallel()
	const none, loop, priv = 0, 1, 2 // the least a guard must allow
	const never, always = 3, -1
	for addr, needs := range map[string]int{
		"8.8.8.8": always, "1.1.1.1": always, "2606:4700::1111": always, "172.32.0.1": always,
		"100.128.0.1": always, "::ffff:8.8.8.8": always, "64:ff9b::808:808": always, "2002:808:808::1": always,
		"127.0.0.1": loop, "127.255.255.254": loop, "::1": loop, "::ffff:127.0.0.1": loop,
		"64:ff9b::7f00:1": loop, "2002:7f00:1::": loop, "::127.0.0.1": loop,
		"10.0.0.1": priv, "172.16.0.1": priv, "172.31.255.255": priv, "192.168.1.1": priv,
		"100.64.0.1": priv, "100.127.255.255": priv, "fd12::1": priv, "fc00::1": priv,
		"::ffff:10.0.0.1": priv, "64:ff9b::a00:1": priv, "2002:c0a8:101::1": priv,
		"169.254.169.254": never, "::ffff:169.254.169.254": never, "64:ff9b::a9fe:a9fe": never,
		"2002:a9fe:a9fe::": never, "fd00:ec2::254": never, "100.100.100.200": never, "169.254.0.1": never,
		"fe80::1": never, "fec0::1": never, "0.0.0.0": never, "::": never, "0.1.2.3": never,
		"224.0.0.1": never, "255.255.255.255": never, "ff02::1": never, "240.0.0.1": never,
		"192.0.0.192": never, "192.0.2.1": never, "198.18.0.1": never, "198.51.100.1": never,
		"203.0.113.1": never, "2001::1": never, "2001:db8::1": never, "64:ff9b:1::1": never, "100::1": never,
		"fe80::1%eth0": never, "::ffff:0:127.0.0.1": never, "::ffff:0:8.8.8.8": never, "2001:1::1": never, "2001:2::1": never,
		"2001:200::1": always, "168.63.129.16": never, "64:ff9b::a83f:8110": never, "fd20:ce::254": never, "5f00::1": never, "4000::1": never, "::1.2.3.4": always,
	} {
		for level, g := range map[int]dialguard.Guard{none: {}, loop: {AllowLoopback: true}, priv: {AllowPrivate: true}} {
			err := g.Check(netip.MustParseAddr(addr))
			if allowed := err == nil; allowed != (needs <= level && needs != never) {
				t.Errorf("%s with %+v: %v", addr, g, err)
			}
			if err != nil && !errors.Is(err, dialguard.ErrForbidden) {
				t.Errorf("%s: %v is not ErrForbidden", addr, err)
			}
		}
	}
	if err := (dialguard.Guard{AllowPrivate: true}).Check(netip.Addr{}); err == nil {
		t.Error("no address at all is allowed")
	}
}

func TestTheDialerChecksWhatANameResolvesTo(t *testing.T) {
	t.Parallel()
	d := dialguard.Guard{}.Dialer(time.Minute) // a busy machine may look a name up late
	for _, host := range []string{"localhost:1", "127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"} {
		c, err := d.DialContext(t.Context(), "tcp", host)
		if err == nil {
			c.Close()
		}
		if !errors.Is(err, dialguard.ErrForbidden) {
			t.Errorf("%s: got %v, want ErrForbidden", host, err)
		}
	}
}

// The kernel's own limits are of minutes, in which each idle connection to a
// host that died costs a call an attempt.
func TestAConnectionWhoseFarSideIsGoneIsFoundInSeconds(t *testing.T) {
	t.Parallel()
	k := dialguard.Guard{}.Dialer(time.Second).KeepAliveConfig
	if found := k.Idle + time.Duration(k.Count)*k.Interval; !k.Enable || found > 10*time.Second || k.Idle < 5*time.Second || k.Count < 3 {
		t.Errorf("%+v", k)
	}
}
