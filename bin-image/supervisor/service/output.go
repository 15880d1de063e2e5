package service

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"okteto/bin-image/supervisor/child"
)

const (
	// maxLine of a child's output; longer ones are cut into several.
	maxLine = 16 << 10
	// drainTime is how long output is read after the child has ended: someone
	// else may hold the other end.
	drainTime = time.Second
)

// output reads what a child writes.
type output struct {
	readers, writers []*os.File
	copying          sync.WaitGroup
}

// startOutput gives the child two pipes and reads them.
func (s *Service) startOutput(spec *child.Spec) (*output, error) {
	out := &output{}
	for _, stream := range []struct {
		name string
		file **os.File
	}{{"stdout", &spec.Stdout}, {"stderr", &spec.Stderr}} {
		r, w, err := os.Pipe()
		if err != nil {
			out.started()
			out.wait()
			return nil, err
		}
		*stream.file = w
		out.readers = append(out.readers, r)
		out.writers = append(out.writers, w)
		log := s.cfg.Log.With("stream", stream.name)
		out.copying.Add(1)
		go func() {
			defer out.copying.Done()
			copyLines(r, log)
		}()
	}
	return out, nil
}

// started closes our copies of the ends that the child writes to.
func (o *output) started() {
	for _, w := range o.writers {
		w.Close()
	}
}

// wait returns when everything that the child wrote has been logged.
func (o *output) wait() {
	for _, r := range o.readers {
		// Pipes from os.Pipe can be polled, so the deadline holds.
		_ = r.SetReadDeadline(time.Now().Add(drainTime))
	}
	o.copying.Wait()
	for _, r := range o.readers {
		r.Close()
	}
}

func copyLines(r io.Reader, log *slog.Logger) {
	lines := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := lines.ReadSlice('\n')
		if text := strings.TrimRight(string(line), "\r\n"); text != "" {
			logLine(log, text)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

var (
	// textLine is a line of slog's text handler.
	textLine = regexp.MustCompile(`^time=\S+ level=(\S+) msg=("(?:[^"\\]|\\.)*"|\S*) ?(.*)$`)
	// syncthingLine is "[ABCDE] 2026/01/31 10:11:12.123456 WARNING: text"; all in
	// front of the level may be missing.
	syncthingLine = regexp.MustCompile(`^(?:\[[^\]]*\] )?(?:\d{4}/\d\d/\d\d )?(?:[\d:.]+ )?(?:\S+\.go:\d+: )?(DEBUG|VERBOSE|INFO|OK|WARNING|FATAL): (.*)$`)
)

// logLine passes one line on at the level that the child gave it, if it can be told.
func logLine(log *slog.Logger, line string) {
	ctx := context.Background()
	if strings.HasPrefix(line, "{") {
		if level, msg, attrs, ok := jsonLine(line); ok {
			log.LogAttrs(ctx, level, msg, attrs...)
			return
		}
	}
	if m := textLine.FindStringSubmatch(line); m != nil {
		msg := m[2]
		if strings.HasPrefix(msg, `"`) {
			_ = json.Unmarshal([]byte(msg), &msg)
		}
		if m[3] != "" {
			msg += " " + m[3]
		}
		log.Log(ctx, levelOf(m[1]), msg)
		return
	}
	if m := syncthingLine.FindStringSubmatch(line); m != nil {
		log.Log(ctx, levelOf(m[1]), m[2])
		return
	}
	log.Log(ctx, slog.LevelInfo, line)
}

// jsonLine takes a line of slog's JSON handler apart.
func jsonLine(line string) (level slog.Level, msg string, attrs []slog.Attr, ok bool) {
	var fields map[string]any
	if json.Unmarshal([]byte(line), &fields) != nil {
		return 0, "", nil, false
	}
	msg, ok = fields[slog.MessageKey].(string)
	if !ok {
		return 0, "", nil, false
	}
	name, _ := fields[slog.LevelKey].(string)
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		switch key {
		case slog.MessageKey, slog.LevelKey, slog.TimeKey:
		default:
			attrs = append(attrs, slog.Any(key, fields[key]))
		}
	}
	return levelOf(name), msg, attrs, true
}

func levelOf(name string) slog.Level {
	switch strings.ToUpper(name) {
	case "DEBUG", "VERBOSE":
		return slog.LevelDebug
	case "WARN", "WARNING":
		return slog.LevelWarn
	case "ERROR", "FATAL":
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}
