package engine

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/syncthing/syncthing/lib/connections"
	"github.com/syncthing/syncthing/lib/db"
	"github.com/syncthing/syncthing/lib/events"
	"github.com/syncthing/syncthing/lib/protocol"
)

// snapshots of the database, per folder.
type snapshots interface {
	DBSnapshot(folder string) (*db.Snapshot, error)
}

// pumps send index updates to peers as soon as the database has them.
//
// Syncthing's index sender sleeps 250 ms after each message (indexhandler.go),
// so a save soon after another waits. The pump sends what is new at once, and
// takes out of the sender's later message what the peer has been sent already:
// the peer sees one sequence without gaps or repetitions, as the protocol wants.
type pumps struct {
	me       protocol.DeviceID
	evLogger events.Logger
	source   snapshots
	log      *slog.Logger

	mu    sync.Mutex
	conns map[*pumpedConn]struct{} // protected by mu
}

func newPumps(me protocol.DeviceID, evLogger events.Logger, log *slog.Logger) *pumps {
	return &pumps{me: me, evLogger: evLogger, log: log, conns: map[*pumpedConn]struct{}{}}
}

// Serve pushes whenever the local index changes. An event lost under load does
// no harm: Syncthing's own sender follows within 250 ms.
func (p *pumps) Serve(ctx context.Context) error {
	sub := p.evLogger.Subscribe(events.LocalIndexUpdated)
	defer sub.Unsubscribe()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case ev, ok := <-sub.C():
			if !ok {
				<-ctx.Done()
				return ctx.Err()
			}
			if data, ok := ev.Data.(map[string]interface{}); ok {
				if folder, ok := data["folder"].(string); ok {
					p.push(ctx, folder)
				}
			}
		}
	}
}

func (p *pumps) push(ctx context.Context, folder string) {
	p.mu.Lock()
	conns := make([]*pumpedConn, 0, len(p.conns))
	for c := range p.conns {
		conns = append(conns, c)
	}
	p.mu.Unlock()
	for _, c := range conns {
		if err := c.push(ctx, folder, p.source); err != nil && ctx.Err() == nil {
			p.log.Debug("push index", "err", err)
		}
	}
}

func (p *pumps) wrap(conn protocol.Connection) *pumpedConn {
	c := &pumpedConn{Connection: conn, me: p.me, sent: map[string]int64{}}
	p.mu.Lock()
	p.conns[c] = struct{}{}
	p.mu.Unlock()
	go func() { // ends with the connection
		<-conn.Closed()
		p.mu.Lock()
		delete(p.conns, c)
		p.mu.Unlock()
	}()
	return c
}

// pumpedConn is a connection whose index messages come from two senders.
type pumpedConn struct {
	protocol.Connection
	me      protocol.DeviceID
	started atomic.Bool

	mu sync.Mutex // held while sending, so that sequences stay in order
	// mu protects the following.
	sent         map[string]int64 // folder → highest sequence sent; absent: not begun
	ours, theirs *protocol.ClusterConfig
}

// Start implements protocol.Connection.
func (c *pumpedConn) Start() {
	c.started.Store(true)
	c.Connection.Start()
}

// Close of a connection that was never started would wait for 10 s for somebody
// to send the message that says so.
func (c *pumpedConn) Close(err error) {
	if !c.started.Swap(true) {
		c.Connection.Start()
	}
	c.Connection.Close(err)
}

// Index begins a folder anew.
func (c *pumpedConn) Index(ctx context.Context, idx *protocol.Index) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	folder, last := idx.Folder, idx.LastSequence
	if err := c.Connection.Index(ctx, idx); err != nil {
		return err
	}
	c.sent[folder] = last
	return nil
}

// IndexUpdate drops what the pump has sent.
func (c *pumpedConn) IndexUpdate(ctx context.Context, up *protocol.IndexUpdate) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.updateLocked(ctx, up)
}

func (c *pumpedConn) updateLocked(ctx context.Context, up *protocol.IndexUpdate) error {
	folder, last := up.Folder, up.LastSequence
	if sent, begun := c.sent[folder]; begun {
		fresh := up.Files[:0:0]
		for _, f := range up.Files {
			if f.Sequence > sent {
				fresh = append(fresh, f)
			}
		}
		if len(fresh) == 0 {
			return nil
		}
		up.Files, up.PrevSequence = fresh, sent
	}
	if err := c.Connection.IndexUpdate(ctx, up); err != nil {
		return err
	}
	c.sent[folder] = last
	return nil
}

// push sends all of a folder that the peer has not been sent.
func (c *pumpedConn) push(ctx context.Context, folder string, source snapshots) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent, begun := c.sent[folder]
	if !begun {
		return nil
	}
	snap, err := source.DBSnapshot(folder)
	if err != nil {
		return err
	}
	defer snap.Release()
	batch := db.NewFileInfoBatch(func(files []protocol.FileInfo) error {
		return c.updateLocked(ctx, &protocol.IndexUpdate{
			Folder: folder, Files: files, PrevSequence: c.sent[folder], LastSequence: files[len(files)-1].Sequence,
		})
	})
	previousDeleted := false
	snap.WithHaveSequence(sent+1, func(f protocol.FileInfo) bool {
		// A rename is an addition and a removal; both belong in one message, so
		// that the peer renames instead of copying.
		if batch.Full() && (!f.IsDeleted() || previousDeleted) {
			if err = batch.Flush(); err != nil {
				return false
			}
		}
		previousDeleted = f.IsDeleted()
		batch.Append(forIndex(f))
		return true
	})
	if err != nil {
		return err
	}
	return batch.Flush()
}

// forIndex removes what is this side's business, as Syncthing's sender does.
func forIndex(f protocol.FileInfo) protocol.FileInfo {
	f.RawInvalid = f.IsInvalid()
	if f.IsReceiveOnlyChanged() {
		f.Version = protocol.Vector{}
	}
	f.LocalFlags = 0
	f.VersionHash = nil
	f.InodeChangeNs = 0
	return f
}

// ClusterConfig notes what the model tells the peer about ourselves.
func (c *pumpedConn) ClusterConfig(cm *protocol.ClusterConfig, passwords map[string]string) {
	ours := *cm
	c.Connection.ClusterConfig(cm, passwords)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ours = &ours
	c.beginLocked()
}

// received notes what the peer told us, before the model acts on it.
func (c *pumpedConn) received(cm *protocol.ClusterConfig) {
	c.mu.Lock()
	defer c.mu.Unlock()
	theirs := *cm
	c.theirs = &theirs
	c.beginLocked()
}

// beginLocked works out where each folder's sequence begins: where the peer
// says it stopped, if it knows our index; else with the model's Index message.
func (c *pumpedConn) beginLocked() {
	if c.ours == nil || c.theirs == nil {
		return
	}
	known := map[string]bool{}
	for _, folder := range c.theirs.Folders {
		mine, ok := indexOf(c.ours, folder.ID, c.me)
		if !ok || folder.Paused {
			continue
		}
		seen, ok := indexOf(c.theirs, folder.ID, c.me)
		if !ok || seen.IndexID == 0 || seen.IndexID != mine.IndexID || seen.MaxSequence > mine.MaxSequence {
			if _, begun := c.sent[folder.ID]; begun && seen.MaxSequence <= mine.MaxSequence {
				known[folder.ID] = true
			}
			continue
		}
		known[folder.ID] = true
		if _, begun := c.sent[folder.ID]; !begun {
			c.sent[folder.ID] = seen.MaxSequence
		}
	}
	for folder := range c.sent {
		if !known[folder] {
			delete(c.sent, folder)
		}
	}
}

func indexOf(cm *protocol.ClusterConfig, folder string, device protocol.DeviceID) (protocol.Device, bool) {
	for _, f := range cm.Folders {
		if f.ID != folder || f.Paused {
			continue
		}
		for _, d := range f.Devices {
			if d.ID == device {
				return d, true
			}
		}
	}
	return protocol.Device{}, false
}

// pumpedModel hands the model our connection instead of the one below it.
type pumpedModel struct {
	connections.Model
	conn *pumpedConn
}

func (m *pumpedModel) Index(_ protocol.Connection, idx *protocol.Index) error {
	return m.Model.Index(m.conn, idx)
}

func (m *pumpedModel) IndexUpdate(_ protocol.Connection, up *protocol.IndexUpdate) error {
	return m.Model.IndexUpdate(m.conn, up)
}

func (m *pumpedModel) Request(_ protocol.Connection, req *protocol.Request) (protocol.RequestResponse, error) {
	return m.Model.Request(m.conn, req)
}

func (m *pumpedModel) ClusterConfig(_ protocol.Connection, cm *protocol.ClusterConfig) error {
	m.conn.received(cm)
	return m.Model.ClusterConfig(m.conn, cm)
}

func (m *pumpedModel) Closed(_ protocol.Connection, err error) { m.Model.Closed(m.conn, err) }

func (m *pumpedModel) DownloadProgress(_ protocol.Connection, p *protocol.DownloadProgress) error {
	return m.Model.DownloadProgress(m.conn, p)
}
