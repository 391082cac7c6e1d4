package sipload_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"patchbay/bench/reference"
	"patchbay/bench/sipload"
)

func sipgoAt(t *testing.T, status int) string {
	t.Helper()
	host := fmt.Sprintf("127.%d.%d.%d", 64+rand.N(128), rand.N(256), 1+rand.N(254)) // whose ports nobody else takes meanwhile
	conn, err := net.ListenPacket("udp4", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	at := conn.LocalAddr().String()
	_ = conn.Close()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- reference.Sipgo(ctx, at, status, nil) }()
	t.Cleanup(func() { stop(); <-done })
	return at
}

// until offers a few calls until the server listens.
func until(t *testing.T, o sipload.Options) sipload.Result {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		r, err := sipload.Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Good(o.Answer) || time.Now().After(end) {
			return r
		}
	}
}

func TestAnAnsweredCallIsAcknowledgedAndEnded(t *testing.T) {
	t.Parallel()
	r := until(t, sipload.Options{Target: sipgoAt(t, 200), User: "agent", Rate: 50, For: 200 * time.Millisecond, Answer: true, Tail: 5 * time.Second, RTPPort: 9})
	if r.Offered != 10 || r.Answered != 10 || r.NoBye != 0 || r.Lost != 0 || r.Status != 200 {
		t.Errorf("%+v", r)
	}
}

func TestARefusalCountsAsSuch(t *testing.T) {
	t.Parallel()
	r := until(t, sipload.Options{Target: sipgoAt(t, 404), User: "agent", Rate: 50, For: 200 * time.Millisecond, Tail: 5 * time.Second, RTPPort: 9})
	if r.Refused != 10 || r.Answered != 0 || r.Good(true) {
		t.Errorf("%+v", r)
	}
}

func TestCallsThatNobodyAnswersAreLost(t *testing.T) {
	t.Parallel()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0") // it hears and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	r, err := sipload.Run(t.Context(), sipload.Options{Target: conn.LocalAddr().String(), User: "agent", Rate: 50, For: 100 * time.Millisecond, Tail: 50 * time.Millisecond})
	if err != nil || r.Lost != 5 || r.Good(false) {
		t.Errorf("%+v %v", r, err)
	}
}
