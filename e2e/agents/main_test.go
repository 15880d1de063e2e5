//go:build e2e

package agents

import (
	"flag"
	"os"
	"testing"
)

// parallel tests, unless -parallel says otherwise: they wait for the cluster
// most of the time.
const parallel = "6"

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", parallel); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
