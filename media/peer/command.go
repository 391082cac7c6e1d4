package peer

import (
	"encoding/json"
	"errors"
	"sync"
	"time"

	"patchbay/media"
)

// Bounds of what an agent may say.
const (
	// MaxMessage is the largest message either way, bytes.
	MaxMessage = 16 << 10
	// CommandsPerSecond and CommandBurst bound the commands of one channel.
	CommandsPerSecond = 10
	CommandBurst      = 20
	// maxCommandID is the longest mark an agent may put on a command.
	maxCommandID = 64
)

// Codes of refused commands. They never change.
const (
	CodeInvalid      = "invalid"
	CodeNotSupported = "not_supported"
	CodeRateLimited  = "rate_limited"
	CodeNoDTMF       = "no_dtmf"
	CodeBusy         = "busy"
	CodeNotEarly     = "not_early"
	CodeEnded        = "ended"
	CodeInternal     = "internal"
)

type ack struct {
	Type  string    `json:"type"`
	ID    string    `json:"id,omitempty"`
	OK    bool      `json:"ok"`
	Error *ackError `json:"error,omitempty"`
}

type ackError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Commands reads what an agent asks of its call, over the data channel or NATS,
// and words the answers.
type Commands struct {
	mu     sync.Mutex
	do     func(media.Command) error
	tokens float64
	last   time.Time
}

// NewCommands returns Commands that pass on hangup, send_dtmf, transfer, answer
// and reject to do.
func NewCommands(do func(media.Command) error) *Commands {
	return &Commands{do: do, tokens: CommandBurst}
}

// start sets who carries commands out; before, they are refused as busy.
func (c *Commands) start(do func(media.Command) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.do = do
}

// Answer carries out one message that came at now and returns the answer. It is
// nil for a message that is owed none: an acknowledgement.
func (c *Commands) Answer(now time.Time, message []byte) []byte {
	if len(message) > MaxMessage {
		return reply("", &ackError{CodeInvalid, "the message is larger than 16384 bytes"})
	}
	var cmd media.Command
	if err := json.Unmarshal(message, &cmd); err != nil {
		return reply("", &ackError{CodeInvalid, `the message is no JSON object like {"id":"1","type":"hangup"}`})
	}
	if cmd.Type == "ack" {
		return nil
	}
	if len(cmd.ID) > maxCommandID {
		return reply("", &ackError{CodeInvalid, "id is longer than 64 bytes"})
	}
	do, ok := c.take(now)
	if !ok {
		return reply(cmd.ID, &ackError{CodeRateLimited, "more than 10 commands a second"})
	}
	return reply(cmd.ID, run(cmd, do))
}

// take spends one token of the bucket.
func (c *Commands) take(now time.Time) (func(media.Command) error, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.last.IsZero() {
		c.tokens = min(CommandBurst, c.tokens+now.Sub(c.last).Seconds()*CommandsPerSecond)
	}
	c.last = now
	if c.tokens < 1 {
		return nil, false
	}
	c.tokens--
	return c.do, true
}

func run(cmd media.Command, do func(media.Command) error) *ackError {
	switch cmd.Type {
	case "":
		return &ackError{CodeInvalid, "type is missing"}
	case media.CommandHangup, media.CommandSendDTMF, media.CommandTransfer, media.CommandAnswer, media.CommandReject:
	default:
		return &ackError{CodeNotSupported, "this command is not served; hangup, send_dtmf, transfer, answer and reject are"}
	}
	if do == nil {
		return &ackError{CodeBusy, "the call has not begun"}
	}
	err := do(cmd)
	if err == nil {
		return nil
	}
	return refusal(err)
}

// refusal words an error of the call. What is not listed is our fault and none
// of the agent's business.
func refusal(err error) *ackError {
	for _, r := range []struct {
		err  error
		code string
	}{
		{media.ErrUnknownCommand, CodeNotSupported},
		{media.ErrBadDigits, CodeInvalid},
		{media.ErrBadTarget, CodeInvalid},
		{media.ErrBadMode, CodeInvalid},
		{media.ErrBadHeaders, CodeInvalid},
		{media.ErrBadReplaces, CodeInvalid},
		{media.ErrBadStatus, CodeInvalid},
		{media.ErrNotEarly, CodeNotEarly},
		{media.ErrNoDTMF, CodeNoDTMF},
		{media.ErrDigitsFull, CodeBusy},
		{media.ErrClosed, CodeEnded},
	} {
		if errors.Is(err, r.err) {
			return &ackError{r.code, err.Error()}
		}
	}
	return &ackError{CodeInternal, "internal error"}
}

func reply(id string, e *ackError) []byte {
	b, err := json.Marshal(ack{Type: "ack", ID: id, OK: e == nil, Error: e})
	if err != nil {
		return nil // an ack of strings always marshals
	}
	return b
}
