package web_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/config"
	"patchbay/internal/web"
)

// A pipe is a listener with one connection, whose deadlines keep virtual time.
type pipe chan net.Conn

func (p pipe) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipe) Close() error   { return nil }
func (p pipe) Addr() net.Addr { return &net.TCPAddr{} }

func TestABodyThatNobodyReadsAndThatDoesNotComeHoldsNoConnection(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a long reply goes out before its handler is done. ", 1000)
	for path, status := range map[string]string{"/livez": "405", "/nowhere": "404", "/refuses": "401", "/long": "200"} {
		for _, size := range []string{"Content-Length: 100\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n64\r\nhalf"} {
			synctest.Test(t, func(t *testing.T) {
				s := web.New(config.HTTP{}, http.NotFoundHandler(), slog.New(slog.DiscardHandler))
				s.Mount("/refuses", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
				s.Mount("/long", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, long) }))
				client, server := net.Pipe()
				listener := make(pipe, 1)
				listener <- server
				srv := web.ServerOf(s)
				go func() { _ = srv.Serve(listener) }()
				began := time.Now()
				_ = client.SetDeadline(began.Add(time.Hour))
				fmt.Fprintf(client, "POST %s HTTP/1.1\r\nHost: x\r\n%s", path, size)
				reply, err := io.ReadAll(client)
				if took := time.Since(began); err != nil || !strings.HasPrefix(string(reply), "HTTP/1.1 "+status) || took > 20*time.Second {
					t.Errorf("%s, %.14s: after %v of virtual time: %v: %.100s", path, size, took, err, reply)
				}
				close(listener)
				_ = srv.Close()
			})
		}
	}
}
