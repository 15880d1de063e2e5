//go:build linux

package users

import (
	"fmt"
	"os"
	"strconv"
	"testing"
)

// Plan says how many random histories a test runs. Its environment:
//
//	OKTETO_TEST_SEED=n   the first seed, and only that one: repeats a failure
//	OKTETO_TEST_SEEDS=n  how many seeds
//	OKTETO_TEST_STEPS=n  how many steps each
//	OKTETO_TEST_FULL=1   25 seeds of 2000 steps
type Plan struct {
	First        uint64
	Seeds, Steps int
}

// Run runs the plan, each seed as a test of its own.
func (p Plan) Run(t *testing.T, history func(t *testing.T, seed uint64, steps int)) {
	t.Helper()
	if os.Getenv("OKTETO_TEST_FULL") != "" {
		p.Seeds, p.Steps = 25, 2000
	}
	number := func(name string, into *int) bool {
		text := os.Getenv(name)
		if text == "" {
			return false
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		*into = n
		return true
	}
	if seed := 0; number("OKTETO_TEST_SEED", &seed) {
		p.First, p.Seeds = uint64(seed), 1
	}
	number("OKTETO_TEST_SEEDS", &p.Seeds)
	number("OKTETO_TEST_STEPS", &p.Steps)
	for i := range p.Seeds {
		seed := p.First + uint64(i)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { history(t, seed, p.Steps) })
	}
}
