package manifest

import (
	"slices"
	"strings"
	"testing"
)

// TestSubstitute: what a shell makes of each (A is 1, E is empty, the rest is unset).
func TestSubstitute(t *testing.T) {
	values := map[string]string{"A": "1", "E": "", "A_B": "2"}
	for text, want := range map[string]string{
		"": "", "plain": "plain", "$A": "1", "${A}": "1", "$A-b": "1-b", "$A_B": "2", "{$A}": "{1}",
		"$X": "", "${X}": "", "$E": "",
		"${X:-d}": "d", "${X-d}": "d", "${E:-d}": "d", "${E-d}": "", "${A:-d}": "1", "${X:-}": "", "${X:=d}": "d",
		"${A:+y}": "y", "${E:+y}": "", "${E+y}": "y", "${X+y}": "",
		"${A:?why}": "1", "${E?why}": "", "${A:-${X:?why}}": "1",
		"${X:-${Y:-${Z:-z}}}": "z", "${X:-$A b}": "1 b", "${X:-${A}}}": "1}", "${X:-a}b}": "ab}",
		`${X:-"q"}`: `"q"`, `a\$A`: `a\1`,
		// A dollar sign that begins no name is one.
		"pa$$word": "pa$word", "$$A": "$A", "$$$A": "$1", "$$$$": "$$", "a$": "a$", "$": "$", "$ 5": "$ 5", "$5": "$5",
		"$(x)": "$(x)", "$é": "$é", "${X:-$$}": "$",
	} {
		got, _, err := substitute(text, values)
		if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"${A": "closing brace", "${A:-b": "closing brace", "${A:": "closing brace", "${": "a name is expected", "${}": "a name is expected", "${5}": "a name is expected",
		"${A b}": "only }", "${A#x}": "only }", "${A:1}": "only }", "${A::-x}": "only }",
		"${X:?say why}": "X: say why", "${E:?}": "E: it has to be set", "${X?$A}": "X: 1",
		strings.Repeat("${X:-", maxNesting+1) + strings.Repeat("}", maxNesting+1): "too many",
	} {
		if got, _, err := substitute(text, values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, error %v, want %q", text, got, err, want)
		}
	}
}

// Only what is missed is warned about.
func TestSubstituteUnset(t *testing.T) {
	values := map[string]string{"A": "1"}
	for text, want := range map[string]string{
		"$X ${Y}": "X,Y", "${X:-d}": "", "${X:-$Y}": "Y", "${A:-$Y}": "", "${X:+$Y}": "", "${A:+$Y}": "Y", "$$X": "",
	} {
		_, unset, err := substitute(text, values)
		if got := strings.Join(unset, ","); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

// FuzzSubstitute: what is replaced without an error is again after its dollar signs
// are doubled, and what has none is left as it is.
func FuzzSubstitute(f *testing.F) {
	for _, seed := range []string{"${X:-${Y:-z}}", "$$A$A", "${A:?x}", "${E+$A}", "a$", "${X:-a}b}", "$é", "${A:-"} {
		f.Add(seed)
	}
	values := map[string]string{"A": "1", "E": ""}
	f.Fuzz(func(t *testing.T, text string) {
		got, unset, err := substitute(text, values)
		if err != nil {
			return
		}
		if slices.Contains(unset, "A") || slices.Contains(unset, "E") {
			t.Fatalf("%q: %q are set", text, unset)
		}
		if !strings.Contains(text, "$") && got != text {
			t.Fatalf("%q became %q", text, got)
		}
		literal := strings.ReplaceAll(got, "$", "$$")
		if again, _, err := substitute(literal, values); err != nil || again != got {
			t.Fatalf("%q became %q, then %q, %v", text, got, again, err)
		}
	})
}
