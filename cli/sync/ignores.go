package sync

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"okteto/internal/engine"
)

const (
	ignoreRetryMin = 200 * time.Millisecond
	ignoreRetryMax = 5 * time.Second
)

// ignorePusher keeps the pod's ignore patterns equal to the laptop's: .stignore
// itself is never synchronized. Patterns are sent with what they include.
type ignorePusher struct {
	pod   Info // only how to reach the pod's REST interface
	roots map[string]string
	log   *slog.Logger
	wake  chan struct{}
}

func newIgnorePusher(s settings, log *slog.Logger) *ignorePusher {
	p := &ignorePusher{pod: Info{Remote: s.RemoteAPI, APIKey: s.APIKey}, roots: map[string]string{}, log: log, wake: make(chan struct{}, 1)}
	for _, f := range s.Folders {
		p.roots[f.ID] = f.Path
	}
	return p
}

// changed has the patterns compared and sent.
func (p *ignorePusher) changed() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *ignorePusher) run(ctx context.Context) {
	if p.pod.Remote == "" {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		}
		for retry := ignoreRetryMin; !p.pushAll(ctx); retry = min(2*retry, ignoreRetryMax) {
			select {
			case <-ctx.Done():
				return
			case <-p.wake:
			case <-time.After(retry):
			}
		}
	}
}

// pushAll reports whether all folders' patterns are in the pod, or cannot be
// read here, which needs no retry.
func (p *ignorePusher) pushAll(ctx context.Context) bool {
	all := true
	for id, root := range p.roots {
		ignores, err := engine.LoadIgnores(root)
		if err != nil {
			p.log.Warn("ignore patterns", "folder", id, "err", err)
			continue
		}
		if err := p.push(ctx, id, patternLines(ignores.Text())); err != nil {
			p.log.Debug("send ignore patterns", "folder", id, "err", err)
			all = false
		}
	}
	return all
}

// noPatterns stands for an empty list: the pod's engine would remove the file
// then, which is also the folder's marker.
const noPatterns = "// nothing is ignored"

func patternLines(text []byte) []string {
	lines := []string{}
	for line := range strings.Lines(string(text)) {
		lines = append(lines, strings.TrimRight(line, "\n"))
	}
	if len(lines) == 0 {
		lines = append(lines, noPatterns)
	}
	return lines
}

func (p *ignorePusher) push(ctx context.Context, folder string, lines []string) error {
	path := "/rest/db/ignores?folder=" + url.QueryEscape(folder)
	var has struct {
		Ignore []string `json:"ignore"`
	}
	if err := p.pod.remote(ctx, http.MethodGet, path, nil, &has); err != nil {
		return err
	}
	if slices.Equal(has.Ignore, lines) {
		return nil
	}
	body, err := json.Marshal(map[string][]string{"ignore": lines})
	if err != nil {
		return err
	}
	return p.pod.remote(ctx, http.MethodPost, path, bytes.NewReader(body), nil)
}
