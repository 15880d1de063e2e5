package tunnel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// errDropped is why a connection ended that Retry gave up.
var errDropped = errors.New("connection given up for a new one")

// logPeriod is how often at most attempts that fail are logged.
const logPeriod = 10 * time.Second

// keeper keeps one SSH connection.
type keeper struct {
	connect func(context.Context) (*Client, error)
	silent  func()
	log     *slog.Logger
	wake    chan struct{} // has a value when there is a reason to try at once
	drop    chan struct{} // has a value when the connection is to be given up

	// leader, if there is one, is connected first: one that cannot be reached
	// is not tried twice.
	leader *keeper

	board *board
	// The following are protected by board.mu.
	current *Client
	err     error
}

func newKeeper(b *board, connect func(context.Context) (*Client, error), silent func(), log *slog.Logger) *keeper {
	return &keeper{
		connect: connect, silent: silent, log: log, board: b,
		wake: make(chan struct{}, 1), drop: make(chan struct{}, 1),
	}
}

func (k *keeper) client(ctx context.Context) (*Client, error) {
	for {
		k.board.mu.Lock()
		current, lastErr, changed := k.current, k.err, k.board.changed
		k.board.mu.Unlock()
		if current != nil && current.Err() == nil {
			return current, nil
		}
		select {
		case <-ctx.Done():
			if lastErr != nil {
				return nil, fmt.Errorf("no connection to the pod: %w", lastErr)
			}
			return nil, fmt.Errorf("no connection to the pod: %w", context.Cause(ctx))
		case <-changed:
		}
	}
}

func (k *keeper) retry(drop bool) {
	if drop {
		select {
		case k.drop <- struct{}{}:
		default:
		}
	}
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *keeper) set(client *Client, err error) {
	k.board.mu.Lock()
	defer k.board.mu.Unlock()
	k.current, k.err = client, err
	k.board.announce()
}

func (k *keeper) run(ctx context.Context) {
	var late sync.WaitGroup // attempts that another one overtook
	defer late.Wait()
	pause := firstRetry
	for {
		if k.leader != nil {
			if _, err := k.leader.client(ctx); err != nil {
				return // ctx has ended
			}
		}
		client := k.attempt(ctx, pause, &late)
		if client == nil {
			return
		}
		start := time.Now()
		k.set(client, nil)
		k.log.Info("connected")
		err := k.watch(ctx, client)
		k.set(nil, err)
		_ = client.Close()
		if ctx.Err() != nil {
			return
		}
		k.log.Warn("connection lost", "err", err)
		// A server that ends each connection at once is not asked in a loop.
		if pause *= 2; time.Since(start) > lastRetry {
			pause = firstRetry
		}
		pause = min(pause, lastRetry)
	}
}

type outcome struct {
	client *Client
	err    error
}

// attempt connects, however long that takes; it returns nil when ctx has ended.
// When an attempt fails, the next begins after a growing pause; when it hangs,
// another begins beside it, and the first to get through wins.
func (k *keeper) attempt(ctx context.Context, pause time.Duration, late *sync.WaitGroup) *Client {
	attempts, cancel := context.WithCancel(ctx)
	outcomes := make(chan outcome, maxAttempts)
	active := 0
	defer func() {
		cancel()
		late.Go(func() {
			for range active {
				if o := <-outcomes; o.client != nil {
					_ = o.client.Close()
				}
			}
		})
	}()
	next := time.NewTimer(0)
	defer next.Stop()
	var woken, logged time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.wake:
			pause, woken = firstRetry, time.Now()
			next.Reset(0)
		case <-next.C:
			next.Reset(lastRetry)
			if active == maxAttempts {
				continue
			}
			active++
			go func() {
				limited, done := context.WithTimeout(attempts, attemptLimit)
				defer done()
				client, err := k.connect(limited)
				outcomes <- outcome{client, err}
			}()
		case o := <-outcomes:
			active--
			if o.err == nil {
				return o.client
			}
			k.set(nil, o.err)
			level := slog.LevelDebug
			if time.Since(logged) > logPeriod {
				level, logged = slog.LevelInfo, time.Now()
			}
			k.log.Log(ctx, level, "cannot connect", "err", o.err)
			if active == 0 {
				next.Reset(pause)
				longest := lastRetry
				if time.Since(woken) < eagerTime {
					longest = eagerRetry
				}
				pause = min(2*pause, longest)
			}
		}
	}
}

// watch returns why the connection is of no use any more.
func (k *keeper) watch(ctx context.Context, client *Client) error {
	select { // a wish from before this connection is fulfilled by it
	case <-k.drop:
	default:
	}
	probe := time.NewTicker(probeInterval)
	defer probe.Stop()
	clock := time.NewTicker(wakeCheck)
	defer clock.Stop()
	deadline := time.NewTimer(time.Hour)
	deadline.Stop()
	defer deadline.Stop()
	var (
		answer   <-chan error // of the probe that is under way
		received uint64       // at the last look
		seen     = time.Now()
	)
	ask := func(limit time.Duration) {
		if answer == nil {
			answer = client.ask()
		}
		received = client.received()
		deadline.Reset(limit)
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-client.Done():
			if err := client.Err(); err != nil {
				return err
			}
			return errors.New("the pod ended the connection")
		case <-k.drop:
			return errDropped
		case err := <-answer:
			if err != nil {
				return err
			}
			answer = nil
			deadline.Stop()
		case <-probe.C:
			if answer == nil {
				ask(probeLimit)
			}
		case now := <-clock.C:
			if slept(seen, now) {
				k.log.Info("the laptop has slept")
				ask(wakeLimit)
			}
			seen = now
		case <-deadline.C:
			if now := time.Now(); slept(seen, now) { // and nothing could be received
				seen = now
				ask(wakeLimit)
				continue
			}
			// On a slow link the answer queues behind bulk data, which is as
			// good a sign of life.
			if client.received() == received {
				k.silent()
				return errors.New("the pod does not answer")
			}
			ask(probeLimit)
		}
	}
}

// slept reports whether a look at the clock came much too late. While a laptop
// sleeps the time of day moves on, and the other clock may stand still; both go on
// while a process is stopped.
func slept(before, now time.Time) bool {
	return max(now.Sub(before), now.Round(0).Sub(before.Round(0))) > wakeCheck+wakeJump
}
