package web_test

import (
	"bufio"
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
	"patchbay/internal/testkit/pipe"
	"patchbay/internal/web"
)

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
				listener := make(pipe.Listener, 1)
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

func TestAReplyThatNobodyTakesHoldsNoConnection(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	synctest.Test(t, func(t *testing.T) {
		s := web.New(config.HTTP{}, http.NotFoundHandler(), slog.New(slog.DiscardHandler))
		ended := make(chan error, 1)
		s.Mount("/long", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, err := io.WriteString(w, long)
			ended <- err
		}))
		client, server := net.Pipe()
		listener := make(pipe.Listener, 1)
		listener <- server
		srv := web.ServerOf(s)
		go func() { _ = srv.Serve(listener) }()
		fmt.Fprint(client, "GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
		select {
		case err := <-ended:
			if err == nil {
				t.Error("the reply went where nobody reads")
			}
		case <-time.After(time.Hour):
			t.Error("after an hour the reply is still on its way")
		}
		_ = client.Close()
		close(listener)
		_ = srv.Close()
	})
}

func TestASlowClientGetsAllOfALongReply(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<16)
	synctest.Test(t, func(t *testing.T) {
		s := web.New(config.HTTP{}, http.NotFoundHandler(), slog.New(slog.DiscardHandler))
		s.Mount("/long", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for range 8 {
				_, _ = io.WriteString(w, long)
				time.Sleep(time.Minute) // between two pieces nobody is to blame
			}
		}))
		client, server := net.Pipe()
		listener := make(pipe.Listener, 1)
		listener <- server
		srv := web.ServerOf(s)
		go func() { _ = srv.Serve(listener) }()
		taken := bufio.NewReader(client)
		for range 2 { // on one connection
			fmt.Fprint(client, "GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
			resp, err := http.ReadResponse(taken, nil)
			if err != nil {
				t.Fatal(err)
			}
			slow := make([]byte, 4096)
			n := 0
			for err == nil {
				var k int
				k, err = resp.Body.Read(slow)
				n += k
				time.Sleep(100 * time.Millisecond)
			}
			if err != io.EOF || n != 8*len(long) {
				t.Errorf("%d bytes of %d: %v", n, 8*len(long), err)
			}
			time.Sleep(time.Minute) // longer than a piece may take
		}
		_ = client.Close()
		close(listener)
		_ = srv.Close()
	})
}
