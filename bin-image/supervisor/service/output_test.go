package service

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"testing"
)

// FuzzCopyLines: a child may write what it likes; each line of it becomes a line
// of ours, and no more than that.
func FuzzCopyLines(f *testing.F) {
	f.Add([]byte("plain\n\n{\"msg\":\"x\",\"level\":\"WARN\"}\n"))
	f.Add([]byte("{\"msg\":3}\n{\n"))
	f.Add([]byte("time=x level=ERROR msg=\"a \\\" b\" k=v\n[X] 2026/01/01 00:00:00 FATAL: y\n"))
	f.Add([]byte("level=INFO service=forged\r\n\x00\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var out bytes.Buffer
		copyLines(bytes.NewReader(data), slog.New(slog.NewTextHandler(&out, nil)).With("service", "child"))
		lines := 0
		for line := range strings.SplitSeq(out.String(), "\n") {
			if line == "" {
				continue
			}
			lines++
			if !strings.HasPrefix(line, "time=") || !strings.Contains(line, "service=child") {
				t.Errorf("line %q", line)
			}
		}
		if most := bytes.Count(data, []byte("\n")) + 1 + len(data)/maxLine; lines > most {
			t.Errorf("%d lines of %d bytes", lines, len(data))
		}
	})
}

func TestCopyLinesEndsWithTheReader(t *testing.T) {
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() { copyLines(r, slog.New(slog.DiscardHandler)); close(done) }()
	w.CloseWithError(io.ErrUnexpectedEOF)
	<-done
}
