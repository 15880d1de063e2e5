package main

import (
	"errors"
	"flag"
	"testing"

	"okteto/bin-image/supervisor/tree"
)

// TestArguments as start.sh and the original's start scripts pass them.
func TestArguments(t *testing.T) {
	for _, test := range []struct {
		args                   []string
		remote, reset, verbose bool
	}{
		{nil, false, false, true},
		{[]string{"--remote"}, true, false, true},
		{[]string{"--remote", "--reset", "--verbose=false"}, true, true, false},
		{[]string{"--verbose=true"}, false, false, true},
	} {
		got, err := parse(test.args, nil)
		if err != nil || got.Remote != test.remote || got.Reset != test.reset || got.Verbose != test.verbose {
			t.Errorf("%q: %+v, %v", test.args, got, err)
		}
	}
	for _, args := range [][]string{{"--unknown"}, {"argument"}, {"--grace", "soon"}} {
		if _, err := parse(args, nil); err == nil || errors.Is(err, flag.ErrHelp) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestEnvironment(t *testing.T) {
	for _, test := range []struct {
		env          map[string]string
		ssh, metrics string
		wrong        bool
	}{
		{nil, "127.0.0.1:2222", ":2223", false},
		{map[string]string{"OKTETO_REMOTE_PORT": "2322", "OKTETO_METRICS_ADDRESS": "off"}, "127.0.0.1:2322", "off", false},
		{map[string]string{"OKTETO_REMOTE_ADDRESS": "0.0.0.0"}, "127.0.0.1:2222", ":2223", false},
		{map[string]string{"OKTETO_REMOTE_ADDRESS": "10.1.2.3"}, "10.1.2.3:2222", ":2223", false},
		{map[string]string{"OKTETO_METRICS_ADDRESS": "[::1]:9000"}, "127.0.0.1:2222", "[::1]:9000", false},
		{map[string]string{"OKTETO_METRICS_ADDRESS": "9000"}, "", "", true},
		{map[string]string{"OKTETO_METRICS_ADDRESS": ":http"}, "", "", true},
		{map[string]string{"OKTETO_REMOTE_PORT": "ssh"}, "", "", true},
		{map[string]string{"OKTETO_REMOTE_PORT": "70000"}, "", "", true},
	} {
		var o tree.Options
		o.FromEnvironment(func(name string) string { return test.env[name] })
		err := o.Validate()
		switch {
		case test.wrong && err == nil:
			t.Errorf("%v is taken", test.env)
		case !test.wrong && (err != nil || o.SSHAddress != test.ssh || o.MetricsAddress != test.metrics):
			t.Errorf("%v: %s, %s, %v", test.env, o.SSHAddress, o.MetricsAddress, err)
		}
	}
}
