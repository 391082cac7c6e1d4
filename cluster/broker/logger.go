package broker

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// A logger gives the server's lines to slog. The stock logger ends the process
// on Fatalf; this one reports the error to whoever runs the server. The server
// prints no payloads unless it traces, and it never does here.
type logger struct {
	log    *slog.Logger
	fatal  func(error)
	listen string
}

func (l *logger) Noticef(format string, v ...any) { l.write(slog.LevelDebug, format, v) }

// Warnf implements server.Logger.
func (l *logger) Warnf(format string, v ...any) {
	level := slog.LevelWarn
	if strings.HasPrefix(format, refusal) {
		level = slog.LevelDebug
	}
	l.write(level, format, v)
}

// Errorf implements server.Logger. That another broker of a cluster is not
// there yet is no error: who waits for it says so.
func (l *logger) Errorf(format string, v ...any) {
	level := slog.LevelError
	if strings.HasPrefix(format, "Error trying to connect to route") {
		level = slog.LevelDebug
	}
	l.write(level, format, v)
}

// refusals of clients are logged by those who refuse them, counted.
const refusal = "Auth callout service returned an error"

func (l *logger) Debugf(string, ...any) {}
func (l *logger) Tracef(string, ...any) {}

// Fatalf implements server.Logger without ending the process.
func (l *logger) Fatalf(format string, v ...any) {
	if strings.HasPrefix(format, "Error listening on port") && len(v) == 2 {
		l.fatal(fmt.Errorf("nats.listen %s: %v", l.listen, v[1]))
		return
	}
	l.fatal(fmt.Errorf("NATS server: "+format, v...))
}

func (l *logger) write(level slog.Level, format string, v []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, "nats server", "line", fmt.Sprintf(format, v...))
	}
}
