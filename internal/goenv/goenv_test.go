package goenv

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const child = "OKTETO_GOENV_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(child) != "" {
		Shed()
		fmt.Println(os.Getpid(), runtime.GOMAXPROCS(0) == 3, os.Getenv("GOGC"), os.Args[1:])
		for _, kv := range Environ() {
			fmt.Println(kv)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestShed(t *testing.T) {
	for _, extra := range [][]string{
		nil, {"GOGC=off", "GOMAXPROCS=3", "X=1", "GODEBUG=gctrace=1,inittrace=1", "GOTRACEBACK=crash", "GOMEMLIMIT=1MiB"},
	} {
		cmd := exec.Command(os.Args[0], "an", "argument")
		cmd.Env = append([]string{"PATH=/bin", child + "=1", "GOFLAGS=-v"}, extra...)
		var out strings.Builder
		cmd.Stdout = &out
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		wide := runtime.NumCPU() == 3
		if want := fmt.Sprintln(cmd.Process.Pid, wide, "", []string{"an", "argument"}); lines[0]+"\n" != want {
			t.Errorf("the program: %q, want %q", lines[0], want)
		}
		if !slices.Equal(lines[1:], cmd.Env) {
			t.Errorf("environment %q, want %q", lines[1:], cmd.Env)
		}
	}
}
