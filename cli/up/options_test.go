package up

import (
	"errors"
	"testing"

	"okteto/cli/manifest"
	"okteto/cli/target"
	"okteto/cli/ui"
)

func TestParseVariable(t *testing.T) {
	t.Setenv("SET_HERE", "from here")
	for text, want := range map[string]manifest.EnvVar{
		"A=b":      {Name: "A", Value: "b"},
		"A=":       {Name: "A"},
		"A=b=c d":  {Name: "A", Value: "b=c d"},
		"SET_HERE": {Name: "SET_HERE", Value: "from here"},
	} {
		if got, err := ParseVariable(text); err != nil || got != want {
			t.Errorf("ParseVariable(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "=b", "A B=c", "SURELY_NOT_SET"} {
		var problem *ui.Problem
		if _, err := ParseVariable(text); !errors.As(err, &problem) || problem.Hint == "" {
			t.Errorf("ParseVariable(%q): error %v, want a problem with a hint", text, err)
		}
	}
}

func TestFlagsWinOverTheManifest(t *testing.T) {
	dev := &manifest.Dev{Remote: 2200, Environment: []manifest.EnvVar{{Name: "A", Value: "manifest"}, {Name: "B", Value: "manifest"}}}
	u := &up{Options: Options{
		Target:      &target.Target{Dev: dev},
		Environment: []manifest.EnvVar{{Name: "C", Value: "flag"}, {Name: "A", Value: "flag"}},
		RemotePort:  2300,
	}}
	u.applyFlags()
	got := map[string]string{}
	for _, v := range dev.Environment {
		got[v.Name] += v.Value
	}
	if got["A"] != "flag" || got["B"] != "manifest" || got["C"] != "flag" || dev.Remote != 2300 {
		t.Errorf("environment %v, port %d", got, dev.Remote)
	}
}

// An up that begins after the last one was killed finds the terminal of the same
// command, and of no other.
func TestTerminalIDNamesTheCommand(t *testing.T) {
	first, again, other := terminalID("make test"), terminalID("make test"), terminalID("make")
	if first != again || first == other {
		t.Errorf("ids %q, %q for one command, %q for another", first, again, other)
	}
}
