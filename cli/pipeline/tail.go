package pipeline

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"sync"
)

// tailSize is how much of the output is recorded, in bytes.
const tailSize = 32 << 10

// tail keeps the last lines of what is written to it. It is safe for several
// writers.
type tail struct {
	secrets *strings.Replacer

	mu      sync.Mutex // protects the following
	content []byte
	cut     bool
}

func newTail(secrets []string) *tail {
	// A secret that begins like another is replaced whole only if it comes first.
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	pairs := make([]string, 0, 2*len(secrets))
	for _, s := range secrets {
		pairs = append(pairs, s, mask)
	}
	return &tail{secrets: strings.NewReplacer(pairs...)}
}

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.content = append(t.content, p...)
	// Twice the size, so that whole lines, and whole secrets, are cut off.
	if over := len(t.content) - 2*tailSize; over > 0 {
		t.content = append(t.content[:0], t.content[over:]...)
		t.cut = true
	}
	return len(p), nil
}

// String returns the last lines without the secrets in them.
func (t *tail) String() string {
	t.mu.Lock()
	content, cut := bytes.ToValidUTF8(t.content, []byte("?")), t.cut
	t.mu.Unlock()
	text := t.secrets.Replace(string(content))
	if over := len(text) - tailSize; over > 0 {
		text, cut = text[over:], true
	}
	if cut {
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}
