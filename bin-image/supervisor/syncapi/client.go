package syncapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// maxAnswer bounds what is read of one answer.
const maxAnswer = 64 << 20

// Client of one Syncthing's REST interface.
type Client struct {
	address, configPath string
	http                *http.Client

	mu  sync.Mutex // protects key
	key string
}

// NewClient for the REST interface at address (host:port). The API key is read
// from the configuration file when it is needed, and again when it is refused.
func NewClient(address, configPath string) *Client {
	return &Client{
		address: address, configPath: configPath,
		// The requests go to the loopback interface whatever the pod's
		// environment says about proxies.
		http: &http.Client{Transport: &http.Transport{
			Proxy: nil, MaxIdleConns: 4, MaxIdleConnsPerHost: 4, IdleConnTimeout: 2 * time.Minute,
			DisableCompression: true,
		}},
	}
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Healthy asks the one page that needs no key.
func (c *Client) Healthy(ctx context.Context) error {
	body, err := c.do(ctx, "/rest/noauth/health", nil, "")
	if err != nil {
		return err
	}
	return body.Close()
}

// Open gets a page as it is; the caller closes it.
func (c *Client) Open(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	key, err := c.apiKey(false)
	if err != nil {
		return nil, err
	}
	body, err := c.do(ctx, path, query, key)
	if refused(err) {
		// A new Secret brings a new key.
		if key, err = c.apiKey(true); err != nil {
			return nil, err
		}
		body, err = c.do(ctx, path, query, key)
	}
	return body, err
}

// Get gets a page and decodes its JSON into v.
func (c *Client) Get(ctx context.Context, path string, query url.Values, v any) error {
	body, err := c.Open(ctx, path, query)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(v); err != nil {
		return fmt.Errorf("decode answer of Syncthing to %s: %w", path, err)
	}
	return nil
}

// StatusError is an answer that is not 200.
type StatusError struct {
	Path string
	Code int
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("ask Syncthing for %s: %d %s", e.Path, e.Code, http.StatusText(e.Code))
}

func refused(err error) bool {
	status, ok := err.(*StatusError)
	return ok && (status.Code == http.StatusForbidden || status.Code == http.StatusUnauthorized)
}

func (c *Client) do(ctx context.Context, path string, query url.Values, key string) (io.ReadCloser, error) {
	u := url.URL{Scheme: "http", Host: c.address, Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("ask Syncthing for %s: %w", path, err)
	}
	if key != "" {
		req.Header.Set("X-API-Key", key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask Syncthing: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
		resp.Body.Close()
		return nil, &StatusError{path, resp.StatusCode}
	}
	return resp.Body, nil
}

func (c *Client) apiKey(again bool) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.key != "" && !again {
		return c.key, nil
	}
	config, err := ReadConfig(c.configPath)
	if err != nil {
		return "", err
	}
	c.key = config.APIKey
	return c.key, nil
}
