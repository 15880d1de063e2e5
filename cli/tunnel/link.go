package tunnel

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"sync"
	"time"
)

const (
	// probeInterval and probeLimit bound how long a path that swallows packets
	// goes unnoticed.
	probeInterval = 5 * time.Second
	probeLimit    = 5 * time.Second
	// wakeCheck is how often the clock is read, wakeJump how late that comes if the
	// laptop slept or the process was stopped, wakeLimit what a probe has after that:
	// a way that was kept answers at once, and one that was not is not waited for.
	wakeCheck = time.Second
	wakeJump  = 3 * time.Second
	wakeLimit = time.Second
	// firstRetry and lastRetry bound the time between attempts to connect. The
	// second is also how long at most a path that works again goes unused.
	firstRetry = 25 * time.Millisecond
	lastRetry  = time.Second
	// eagerRetry is the longest pause for eagerTime after Retry: what the caller
	// knows to come is about to.
	eagerRetry = 150 * time.Millisecond
	eagerTime  = 3 * time.Second
	// maxAttempts that may be under way: on a path that swallows packets each
	// hangs, and only one that began after the path is back gets through.
	maxAttempts = 10
	// attemptLimit ends an attempt. With one a second, maxAttempts of them never
	// keep the next from beginning.
	attemptLimit = 10 * time.Second
)

// Options of a Link.
type Options struct {
	// Dial opens a stream to the SSH server of the pod that is current.
	Dial func(ctx context.Context) (net.Conn, error)
	Credentials
	// InteractiveOnly leaves the connection for bulk data out.
	InteractiveOnly bool
	// Silent, if not nil, is called when a connection is given up since nothing
	// comes any more: other connections on the same way may be as dead.
	Silent func()
	Log    *slog.Logger
}

// Link keeps two SSH connections to the pod: one for what people wait for, one
// for bulk data. It reconnects each on its own, with growing pauses, for as long
// as Run runs.
type Link struct {
	board             *board
	interactive, bulk *keeper // bulk may be nil
	keepers           []*keeper
}

// NewLink returns a link that connects when Run runs.
func NewLink(o Options) *Link {
	connect := func(ctx context.Context) (*Client, error) {
		conn, err := o.Dial(ctx)
		if err != nil {
			return nil, err
		}
		return Handshake(ctx, conn, o.Credentials)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Silent == nil {
		o.Silent = func() {}
	}
	b := &board{changed: make(chan struct{})}
	l := &Link{board: b, interactive: newKeeper(b, connect, o.Silent, o.Log.With("conn", "interactive"))}
	l.keepers = []*keeper{l.interactive}
	if !o.InteractiveOnly {
		l.bulk = newKeeper(b, connect, o.Silent, o.Log.With("conn", "bulk"))
		l.bulk.leader = l.interactive
		l.keepers = append(l.keepers, l.bulk)
	}
	return l
}

// Run keeps the connections until ctx ends, and closes them.
func (l *Link) Run(ctx context.Context) {
	var group sync.WaitGroup
	for _, k := range l.keepers {
		group.Go(func() { k.run(ctx) })
	}
	group.Wait()
}

// Interactive returns the connection for terminals, commands and forwards, and
// waits until there is one.
func (l *Link) Interactive(ctx context.Context) (*Client, error) { return l.interactive.client(ctx) }

// Bulk returns the connection for synchronization, and waits until there is one.
// An interactive-only link has none.
func (l *Link) Bulk(ctx context.Context) (*Client, error) { return l.bulk.client(ctx) }

// Retry tries at once to connect what is not connected: the caller knows that
// something has changed, such as that there is a new pod. With drop, what is
// connected is connected anew.
func (l *Link) Retry(drop bool) {
	for _, k := range l.keepers {
		k.retry(drop)
	}
}

// Status of a link: of all its connections.
type Status struct {
	// Connected says that all connections are up.
	Connected bool
	// Err is why the last attempt failed, while not connected.
	Err error
}

// Status returns how the link is now, and a channel that is closed when that has
// changed.
func (l *Link) Status() (Status, <-chan struct{}) {
	l.board.mu.Lock()
	defer l.board.mu.Unlock()
	status := Status{Connected: true}
	for _, k := range l.keepers {
		status.Connected = status.Connected && k.current != nil
		status.Err = cmp.Or(status.Err, k.err)
	}
	return status, l.board.changed
}

// board is what the two keepers and those who wait for them share.
type board struct {
	mu sync.Mutex // protects the following, and the keepers' state
	// changed is closed and replaced at each change.
	changed chan struct{}
}

// announce wakes who waits; mu is held.
func (b *board) announce() {
	close(b.changed)
	b.changed = make(chan struct{})
}
