package spool

import "os"

// Disk puts fsync in the place of that of the system.
func (s *Spool) Disk(fsync func(*os.File) error) { s.fsync = fsync }
