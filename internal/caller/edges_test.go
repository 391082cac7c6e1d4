package caller_test

import (
	"bufio"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"patchbay/internal/caller"
	"patchbay/sip/wire"
)

// refusal answers an INVITE as busy.
func refusal(t *testing.T, raw []byte) []byte {
	t.Helper()
	m, fault := wire.Read(raw, wire.RelayLimits())
	if fault != nil {
		t.Fatalf("the caller sent what the guard refuses: %v", fault)
	}
	return m.Reply(wire.Reply{Status: 486, Tag: "t"})
}

func TestOverUDPEachMessageTakesTheNextEdge(t *testing.T) {
	t.Parallel()
	var edges []netip.AddrPort
	var socks []*net.UDPConn
	for range 3 {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		socks, edges = append(socks, c), append(edges, c.LocalAddr().(*net.UDPAddr).AddrPort())
	}
	heard := make(chan string, 3)
	for i, c := range socks {
		go func() {
			buf := make([]byte, 65535)
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				heard <- err.Error()
				return
			}
			method, _, _ := strings.Cut(string(buf[:n]), " ")
			heard <- method
			if i == 1 { // the first INVITE is lost
				_, _ = c.WriteToUDPAddrPort(refusal(t, buf[:n]), from)
			}
		}()
	}
	rep, err := caller.Call(t.Context(), caller.Options{URI: "sip:demo@edges.example", Via: edges[0], Edges: edges,
		T1: 2 * time.Second}) // a busy machine answers the second before there is a third
	if err != nil || rep.Status != 486 || rep.Retransmits == 0 {
		t.Errorf("%+v, %v", rep, err)
	}
	got := map[string]int{}
	for range socks {
		got[<-heard]++
	}
	if got["INVITE"] != 2 || got["ACK"] != 1 {
		t.Errorf("the edges heard %v, want two INVITEs and the ACK", got)
	}
}

func TestOverTCPEachMessageTakesTheNextEdge(t *testing.T) {
	t.Parallel()
	var edges []netip.AddrPort
	heard := []chan string{make(chan string, 4), make(chan string, 4)}
	for i := range heard {
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ln.Close() }()
		edges = append(edges, ln.Addr().(*net.TCPAddr).AddrPort())
		go func() {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer func() { _ = c.Close() }()
			for r := bufio.NewReader(c); ; {
				raw, err := caller.NextFramed(r)
				if err != nil {
					return
				}
				method, _, _ := strings.Cut(string(raw), " ")
				heard[i] <- method
				if method == "INVITE" {
					_, _ = c.Write(refusal(t, raw))
				}
			}
		}()
	}
	rep, err := caller.Call(t.Context(), caller.Options{URI: "sip:demo@edges.example;transport=tcp", Via: edges[0], Edges: edges})
	if err != nil || rep.Status != 486 {
		t.Errorf("%+v, %v", rep, err)
	}
	for i, want := range []string{"INVITE", "ACK"} {
		select {
		case got := <-heard[i]:
			if got != want {
				t.Errorf("edge %d heard %s, want %s", i, got, want)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("edge %d heard nothing", i)
		}
	}
}
