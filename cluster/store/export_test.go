package store

import "time"

// SyncLonger lets s wait that long for deciders to know a write: on a busy
// machine those that live may be late, too.
func (s *Store) SyncLonger(wait time.Duration) { s.syncWait = wait }

// WaitLonger lets l wait that long for the whole list before it is ready.
func (l *Blocklist) WaitLonger(first time.Duration) { l.firstRead = first }
