package engine

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/syncthing/syncthing/lib/connections"
	"github.com/syncthing/syncthing/lib/discover"
	"github.com/syncthing/syncthing/lib/protocol"
)

// connInfo describes a connection to the model and the REST interface.
type connInfo struct {
	*tls.Conn
	kind, id string
	since    time.Time
}

// Close never blocks on a dead peer: a TLS connection sends an alert first.
func (c *connInfo) Close() error {
	_ = c.Conn.SetWriteDeadline(time.Now().Add(closeGrace))
	return c.Conn.Close()
}

func (c *connInfo) Type() string             { return c.kind }
func (c *connInfo) Transport() string        { return "tcp4" }
func (c *connInfo) IsLocal() bool            { return true }
func (c *connInfo) Priority() int            { return 10 }
func (c *connInfo) String() string           { return c.RemoteAddr().String() + "/" + c.kind }
func (c *connInfo) Crypto() string           { return tls.CipherSuiteName(c.ConnectionState().CipherSuite) }
func (c *connInfo) EstablishedAt() time.Time { return c.since }
func (c *connInfo) ConnectionID() string     { return c.id }

// The rest of connections.Service, for the REST interface.

func (l *link) AllAddresses() []string {
	if l.listener == nil {
		return nil
	}
	return []string{"tcp://" + l.listener.Addr().String()}
}

func (l *link) ExternalAddresses() []string { return nil }
func (l *link) NATType() string             { return "unknown" }

func (l *link) ListenerStatus() map[string]connections.ListenerStatusEntry {
	status := map[string]connections.ListenerStatusEntry{}
	for _, address := range l.AllAddresses() {
		status[address] = connections.ListenerStatusEntry{LANAddresses: []string{address}, WANAddresses: []string{}}
	}
	return status
}

func (l *link) ConnectionStatus() map[string]connections.ConnectionStatusEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	status := map[string]connections.ConnectionStatusEntry{}
	for address, err := range l.lastError {
		entry := connections.ConnectionStatusEntry{When: time.Now().UTC().Truncate(time.Second)}
		if err != nil {
			text := err.Error()
			entry.Error = &text
		}
		status["tcp://"+address] = entry
	}
	return status
}

// noDiscovery is a discover.Manager that knows nobody.
type noDiscovery struct{}

func (noDiscovery) Lookup(context.Context, protocol.DeviceID) ([]string, error) { return nil, nil }
func (noDiscovery) Error() error                                                { return nil }
func (noDiscovery) String() string                                              { return "no discovery" }
func (noDiscovery) Cache() map[protocol.DeviceID]discover.CacheEntry            { return nil }
func (noDiscovery) ChildErrors() map[string]error                               { return nil }
func (noDiscovery) Serve(ctx context.Context) error                             { <-ctx.Done(); return ctx.Err() }
