package tunnel

import (
	"testing"
	"time"
)

func TestSlept(t *testing.T) {
	begin := time.Now()
	for name, c := range map[string]struct {
		now  time.Time
		want bool
	}{
		"the next look":                {begin.Add(wakeCheck), false},
		"a busy laptop":                {begin.Add(wakeCheck + wakeJump/2), false},
		"the process was stopped":      {begin.Add(90 * time.Second), true},
		"asleep, one clock stands":     {begin.Round(0).Add(90 * time.Second), true},
		"the time of day was set back": {begin.Round(0).Add(-time.Hour), false},
	} {
		if got := slept(begin, c.now); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}
