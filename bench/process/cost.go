package process

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU times in /proc: 1/100 s on every Linux that Go
// runs on (sysconf _SC_CLK_TCK).
const clockTick = 10 * time.Millisecond

// CPU is the user and system time that the trees of processes have used.
func CPU(all []*Process) (sum time.Duration) {
	for _, s := range trees(all) {
		sum += s.cpu
	}
	return sum
}

// PSS is the proportional set size of the trees, bytes: shared pages count by
// their share.
func PSS(all []*Process) (sum int64) {
	for pid := range trees(all) {
		sum += pss(pid)
	}
	return sum
}

type status struct {
	parent int
	cpu    time.Duration
}

// trees are the processes and their descendants.
func trees(roots []*Process) map[int]status {
	every := statuses()
	in := map[int]status{}
	for _, p := range roots {
		if s, ok := every[p.PID()]; ok {
			in[p.PID()] = s
		}
	}
	for grown := true; grown; {
		grown = false
		for pid, s := range every {
			_, known := in[pid]
			_, child := in[s.parent]
			if child && !known {
				in[pid], grown = s, true
			}
		}
	}
	return in
}

func statuses() map[int]status {
	all := map[int]status{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return all
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has ended
		}
		if s, ok := parseStat(line); ok {
			all[pid] = s
		}
	}
	return all
}

// parseStat reads proc(5)'s stat: the name in brackets may hold anything.
func parseStat(line []byte) (status, bool) {
	f := strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:]))
	if len(f) < 13 {
		return status{}, false
	}
	parent, err := strconv.Atoi(f[1])
	user, err1 := strconv.Atoi(f[11])
	system, err2 := strconv.Atoi(f[12])
	return status{parent: parent, cpu: time.Duration(user+system) * clockTick}, err == nil && err1 == nil && err2 == nil
}

func pss(pid int) int64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "Pss:"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}
