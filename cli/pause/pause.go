// Package pause waits between two looks at something.
package pause

import (
	"context"
	"time"
)

// For returns after d, or with the cause of ctx's end.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
