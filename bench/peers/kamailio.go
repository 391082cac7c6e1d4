package peers

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"patchbay/bench/process"
)

//go:embed kamailio.cfg
var kamailioConfig string

// KamailioUser is a user that the relaying Kamailio knows.
const KamailioUser = "agent-17"

// Kamailio starts Kamailio on a UDP address, with two workers. With an empty
// uas it refuses every INVITE with 404 and keeps nothing; else it relays the
// INVITEs of known users there, with Record-Route. dir is for its files.
func Kamailio(dir, listen, uas string) (*process.Process, error) {
	if err := process.Find("kamailio", "kamailio"); err != nil {
		return nil, err
	}
	text := strings.NewReplacer("LISTEN", "udp:"+listen, "UAS", uas).Replace(kamailioConfig)
	path := filepath.Join(dir, "kamailio.cfg")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write Kamailio's configuration: %w", err)
	}
	args := []string{"kamailio", "-DD", "-E", "-m", "256", "-M", "16", "-b", "4194304", "-f", path, "-Y", dir, "-w", dir}
	if uas == "" {
		args = append(args, "-A", "REFUSE=1")
	}
	return process.Start(process.Target, args...)
}
