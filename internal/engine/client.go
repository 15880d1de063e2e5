package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Client talks to a daemon's control interface from another process.
type Client struct {
	address, apiKey string
	http            http.Client
}

// NewClient for a control interface at address, host:port.
func NewClient(address, apiKey string) *Client { return &Client{address: address, apiKey: apiKey} }

// Close releases connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status of the engine.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	return s, c.do(ctx, http.MethodGet, pathStatus, controlRequest{}, &s)
}

// Conflicts are the conflict copies by folder id, relative to the root.
func (c *Client) Conflicts(ctx context.Context) (map[string][]string, error) {
	var copies map[string][]string
	return copies, c.do(ctx, http.MethodGet, pathConflicts, controlRequest{}, &copies)
}

// SetPeerAddress is Engine.SetPeerAddress.
func (c *Client) SetPeerAddress(ctx context.Context, peer, address string) error {
	return c.do(ctx, http.MethodPost, pathPeer, controlRequest{Peer: peer, Address: address}, nil)
}

// SetSendOnly is Engine.SetSendOnly.
func (c *Client) SetSendOnly(ctx context.Context, folder string, sendOnly bool) error {
	return c.do(ctx, http.MethodPost, pathMode, controlRequest{Folder: folder, SendOnly: sendOnly}, nil)
}

// Override is Engine.Override.
func (c *Client) Override(ctx context.Context, folder string) error {
	return c.do(ctx, http.MethodPost, pathOverride, controlRequest{Folder: folder}, nil)
}

// Flush is Engine.Flush.
func (c *Client) Flush(ctx context.Context, folder string) error {
	return c.do(ctx, http.MethodPost, pathFlush, controlRequest{Folder: folder}, nil)
}

// Settle is Engine.Settle.
func (c *Client) Settle(ctx context.Context, folder string, peerSequence int64) error {
	return c.do(ctx, http.MethodPost, pathSettle, controlRequest{Folder: folder, Sequence: peerSequence}, nil)
}

// Resume is Engine.Resume.
func (c *Client) Resume(ctx context.Context, folder string) error {
	return c.do(ctx, http.MethodPost, pathResume, controlRequest{Folder: folder}, nil)
}

func (c *Client) do(ctx context.Context, method, path string, request controlRequest, into any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("ask sync daemon: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+c.address+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask sync daemon: %w", err)
	}
	r.Header.Set("X-API-Key", c.apiKey)
	response, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("ask sync daemon: %w", err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("ask sync daemon: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("sync daemon: %s", strings.TrimSpace(string(content)))
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("read answer of sync daemon: %w", err)
	}
	return nil
}
