package reference

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

const answerSDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 30000 RTP/AVP 0 101\r\n" +
	"a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n"

const bufferBytes = 4 << 20 // of sockets; the kernel's default loses bursts

// quiet keeps sipgo from logging: whoever measures it does not measure a log.
var quiet = sync.OnceFunc(func() { sip.SetDefaultLogger(slog.New(slog.NewTextHandler(io.Discard, nil))) })

// Sipgo answers INVITEs over UDP with a status, 404 or 200, through sipgo's
// transactions and nothing else, until ctx ends. With a hop it asks elsewhere
// first; nil: it does not.
func Sipgo(ctx context.Context, address string, status int, hop Hop) error {
	quiet()
	ua, err := sipgo.NewUA()
	if err != nil {
		return err
	}
	server, err := sipgo.NewServer(ua)
	if err != nil {
		return err
	}
	contact := sip.NewHeader("Contact", "<sip:agent@"+address+">")
	server.OnInvite(func(req *sip.Request, tx sip.ServerTransaction) {
		if status == sip.StatusOK {
			_ = tx.Respond(sip.NewResponseFromRequest(req, sip.StatusTrying, "Trying", nil))
		}
		if hop != nil && hop([]byte(req.Recipient.User+"\n"+req.Source()+"\n"+req.CallID().Value())) != nil {
			_ = tx.Respond(sip.NewResponseFromRequest(req, sip.StatusServiceUnavailable, "Service Unavailable", nil))
			return
		}
		if status != sip.StatusOK {
			_ = tx.Respond(sip.NewResponseFromRequest(req, status, "Not Found", nil))
			return
		}
		res := sip.NewSDPResponseFromRequest(req, []byte(answerSDP))
		res.AppendHeader(contact)
		_ = tx.Respond(res)
	})
	server.OnAck(func(*sip.Request, sip.ServerTransaction) {})
	ok := func(req *sip.Request, tx sip.ServerTransaction) {
		_ = tx.Respond(sip.NewResponseFromRequest(req, sip.StatusOK, "OK", nil))
	}
	server.OnBye(ok)
	server.OnOptions(ok)
	conn, err := net.ListenPacket("udp4", address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	if udp, is := conn.(*net.UDPConn); is {
		_, _ = udp.SetReadBuffer(bufferBytes), udp.SetWriteBuffer(bufferBytes)
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	return server.ServeUDP(conn)
}
