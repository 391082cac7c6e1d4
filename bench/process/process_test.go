package process_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"patchbay/bench/process"
)

func TestTheCostOfATreeIsThatOfAllItsProcesses(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("taskset"); err != nil {
		t.Fatal(err)
	}
	p, err := process.Start(process.Target, "sh", "-c", "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 60' & wait")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	all := []*process.Process{p}
	err = p.Await(time.Minute, func() bool { return process.CPU(all) >= 50*time.Millisecond })
	if err != nil {
		t.Error(err)
	}
	if got := process.PSS(all); got <= 0 {
		t.Errorf("%d bytes", got)
	}
}

func TestAProgramThatEndsEarlyIsAnErrorWithItsWords(t *testing.T) {
	t.Parallel()
	p, err := process.Start(process.Generator, "sh", "-c", "echo no such port; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	err = p.Await(time.Minute, func() bool { return false })
	if err == nil || !strings.Contains(err.Error(), "no such port") {
		t.Error(err)
	}
}
