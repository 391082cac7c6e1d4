// Package backup copies the cluster's streams into a directory while they are
// in use, and back into a JetStream that does not have them.
//
// It decides what a backup holds: every stream that must outlive the nodes, each
// as it was at one moment. It refuses to write over a backup, and to restore
// over a stream. The cluster key is no part of it. The files are those of "nats
// stream backup", so that NATS's own tool reads and writes them as well.
package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/cluster/subject"
)

// Streams are what a backup holds, where they exist.
var Streams = []string{"KV_" + subject.BucketEndpoints, "KV_" + subject.BucketCluster, "KV_" + subject.BucketCalls,
	"KV_" + subject.BucketStats, subject.StreamRecords, subject.StreamRecordIndex, subject.StreamEvents,
	subject.StreamHooks, subject.StreamHookLog}

// Limits of a transfer.
const (
	chunkSize    = 128 << 10 // bytes of one message; the broker takes 256 KiB
	chunkTimeout = 30 * time.Second
	apiTimeout   = 30 * time.Second
	maxMeta      = 4 << 20 // bytes of a stream's description
)

// Files of one stream.
const (
	metaFile = "backup.json"
	dataFile = "stream.tar.s2"
)

// ErrIncomplete says that a stream did not come through whole.
var ErrIncomplete = errors.New("backup: incomplete")

// A Stream is one stream of a backup.
type Stream struct {
	Name     string
	Messages uint64
	Bytes    int64 // of the file
}

// Save writes a backup into a new directory. With an error the directory is of
// no use.
func Save(ctx context.Context, nc *nats.Conn, dir string) ([]Stream, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	var all []Stream
	for _, name := range Streams {
		one, err := save(ctx, nc, name, filepath.Join(dir, name))
		switch {
		case errors.Is(err, errNoStream):
			continue
		case err != nil:
			return all, fmt.Errorf("back up %s: %w", name, err)
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("backup: %w: this NATS has none of the streams", ErrIncomplete)
	}
	return all, nil
}

var errNoStream = errors.New("no such stream")

// meta is how a stream was: its files' first half.
type meta struct {
	Config map[string]any `json:"config"`
	State  map[string]any `json:"state"`
}

// reply is what the JetStream API answers.
type reply struct {
	meta
	Error          *jetstream.APIError `json:"error,omitempty"`
	DeliverSubject string              `json:"deliver_subject,omitempty"`
}

func api(ctx context.Context, nc *nats.Conn, subj string, ask any) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	var r reply
	body, err := json.Marshal(ask)
	if err != nil {
		return r, err
	}
	m, err := nc.RequestWithContext(ctx, "$JS.API.STREAM."+subj, body)
	if err == nil {
		err = json.Unmarshal(m.Data, &r)
	}
	switch {
	case err != nil:
		return r, err
	case r.Error != nil && r.Error.ErrorCode == jetstream.JSErrCodeStreamNotFound:
		return r, errNoStream
	case r.Error != nil:
		return r, r.Error
	}
	return r, nil
}

// save copies one stream.
func save(ctx context.Context, nc *nats.Conn, name, dir string) (Stream, error) {
	inbox := nc.NewRespInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return Stream{}, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := sub.SetPendingLimits(-1, -1); err != nil { // the server keeps to its window
		return Stream{}, err
	}
	r, err := api(ctx, nc, "SNAPSHOT."+name, map[string]any{"deliver_subject": inbox, "chunk_size": chunkSize, "no_consumers": true})
	if err != nil {
		return Stream{}, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return Stream{}, err
	}
	raw, err := json.MarshalIndent(r.meta, "", "  ")
	if err != nil {
		return Stream{}, err
	}
	if err := os.WriteFile(filepath.Join(dir, metaFile), raw, 0o600); err != nil {
		return Stream{}, err
	}
	n, err := receive(ctx, sub, filepath.Join(dir, dataFile))
	return Stream{Name: name, Messages: messages(r.meta), Bytes: n}, err
}

func messages(m meta) uint64 {
	n, _ := m.State["messages"].(float64)
	return uint64(n)
}

// receive writes what the server sends until it says that this was all.
func receive(ctx context.Context, sub *nats.Subscription, path string) (n int64, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Sync(), f.Close()) }()
	for {
		wait, cancel := context.WithTimeout(ctx, chunkTimeout)
		m, err := sub.NextMsgWithContext(wait)
		cancel()
		if err != nil {
			return n, fmt.Errorf("%w: %w", ErrIncomplete, err)
		}
		if len(m.Data) == 0 {
			if status := m.Header.Get("Status"); status != "" && status != "204" {
				return n, fmt.Errorf("%w: %s %s", ErrIncomplete, status, m.Header.Get("Description"))
			}
			return n, nil
		}
		k, err := f.Write(m.Data)
		n += int64(k)
		if err != nil {
			return n, err
		}
		if m.Reply != "" {
			if err := m.Respond(nil); err != nil {
				return n, err
			}
		}
	}
}

// Check reports whether a directory holds a backup, with all the files of each
// stream in it.
func Check(dir string) error {
	none := true
	for _, name := range Streams {
		at := filepath.Join(dir, name)
		if _, err := os.Stat(at); errors.Is(err, os.ErrNotExist) {
			continue
		}
		none = false
		_, err := readMeta(filepath.Join(at, metaFile))
		if err == nil {
			_, err = os.Stat(filepath.Join(at, dataFile))
		}
		if err != nil {
			return fmt.Errorf("restore %s: %w", name, err)
		}
	}
	if none {
		return fmt.Errorf("restore %s: %w: no backup is there", dir, ErrIncomplete)
	}
	return nil
}

// Restore makes the streams of a backup, with one replica each: a node that
// starts on them makes as many as its settings say.
func Restore(ctx context.Context, nc *nats.Conn, dir string) ([]Stream, error) {
	if err := Check(dir); err != nil {
		return nil, err
	}
	var all []Stream
	for _, name := range Streams {
		at := filepath.Join(dir, name)
		if _, err := os.Stat(at); errors.Is(err, os.ErrNotExist) {
			continue
		}
		one, err := restore(ctx, nc, name, at)
		if err != nil {
			return all, fmt.Errorf("restore %s: %w", name, err)
		}
		all = append(all, one)
	}
	return all, nil
}

func restore(ctx context.Context, nc *nats.Conn, name, dir string) (Stream, error) {
	m, err := readMeta(filepath.Join(dir, metaFile))
	if err != nil {
		return Stream{}, err
	}
	m.Config["num_replicas"] = 1
	r, err := api(ctx, nc, "RESTORE."+name, m)
	if err != nil {
		return Stream{}, err
	}
	f, err := os.Open(filepath.Join(dir, dataFile))
	if err != nil {
		return Stream{}, err
	}
	defer f.Close()
	sent := int64(0)
	chunk := make([]byte, chunkSize)
	for {
		n, err := io.ReadFull(f, chunk)
		if n > 0 {
			if err := give(ctx, nc, r.DeliverSubject, chunk[:n]); err != nil {
				return Stream{}, err
			}
			sent += int64(n)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return Stream{}, err
		}
	}
	return Stream{Name: name, Messages: messages(m), Bytes: sent}, give(ctx, nc, r.DeliverSubject, nil)
}

func readMeta(path string) (meta, error) {
	var m meta
	f, err := os.Open(path)
	if err != nil {
		return m, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxMeta))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(raw, &m); err != nil || m.Config == nil {
		return m, fmt.Errorf("%w: %s is no description of a stream", ErrIncomplete, metaFile)
	}
	return m, nil
}

// give hands one chunk over; nil ends the transfer. The server answers each.
func give(ctx context.Context, nc *nats.Conn, subj string, chunk []byte) error {
	ctx, cancel := context.WithTimeout(ctx, chunkTimeout)
	defer cancel()
	m, err := nc.RequestWithContext(ctx, subj, chunk)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrIncomplete, err)
	}
	if len(m.Data) == 0 {
		return nil
	}
	var r reply
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return err
	}
	if r.Error != nil {
		return r.Error
	}
	return nil
}
