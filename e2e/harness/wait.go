package harness

import (
	"context"
	"fmt"
	"time"
)

// pollInterval between two looks at a condition.
const pollInterval = 50 * time.Millisecond

// Wait asks until check returns nil, or ctx ends; the error then tells what was
// awaited and what check last said.
func Wait(ctx context.Context, what string, check func(context.Context) error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w (last: %w)", what, context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}
