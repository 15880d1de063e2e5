package sshconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"okteto/internal/contract"
)

// file is an SSH client configuration as lines, each with its own line end.
// Nothing is parsed that need not be, so that nothing can get lost.
type file struct {
	lines []string
	mode  fs.FileMode
}

// read returns an empty file if there is none.
func read(path string) (*file, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &file{mode: 0o600}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read SSH configuration: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read SSH configuration: %w", err)
	}
	return &file{lines: slices.Collect(strings.Lines(string(content))), mode: info.Mode().Perm()}, nil
}

// String is the file's content.
func (f *file) String() string { return strings.Join(f.lines, "") }

// blank reports whether the file says nothing.
func (f *file) blank() bool { return strings.TrimSpace(f.String()) == "" }

// end is how the file ends its lines.
func (f *file) end() string {
	if len(f.lines) > 0 && strings.HasSuffix(f.lines[0], "\r\n") {
		return "\r\n"
	}
	return "\n"
}

// keyword splits a line as ssh_config(5) does: a keyword that ignores case, then
// white space or an equals sign, then arguments. Comments have no keyword.
func keyword(line string) (word, args string) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", ""
	}
	i := strings.IndexAny(line, " \t=")
	if i < 0 {
		return strings.ToLower(line), ""
	}
	args = strings.TrimSpace(line[i:])
	args = strings.TrimSpace(strings.TrimPrefix(args, "="))
	return strings.ToLower(line[:i]), args
}

// find returns the lines [start, end) of the block of a host: our comment above
// it, its Host line, and its options up to the first line that is none.
func (f *file) find(host string) (start, end int, ok bool) {
	for i, line := range f.lines {
		word, args := keyword(line)
		if word != "host" || strings.Trim(args, `"`) != host {
			continue
		}
		start, end = i, i+1
		if i > 0 && strings.TrimSpace(f.lines[i-1]) == contract.SSHEntryComment {
			start--
		}
		for end < len(f.lines) {
			word, _ := keyword(f.lines[end])
			if word == "" || word == "host" || word == "match" || word == "include" {
				break
			}
			end++
		}
		return start, end, true
	}
	return 0, 0, false
}

// option returns the value of a keyword in a host's block.
func (f *file) option(host, name string) string {
	start, end, ok := f.find(host)
	if !ok {
		return ""
	}
	for _, line := range f.lines[start:end] {
		if word, args := keyword(line); word == name {
			return args
		}
	}
	return ""
}

// remove takes out all blocks of a host, with the blank line that follows.
func (f *file) remove(host string) {
	for {
		start, end, ok := f.find(host)
		if !ok {
			return
		}
		if end < len(f.lines) && strings.TrimSpace(f.lines[end]) == "" {
			end++
		}
		f.lines = slices.Delete(f.lines, start, end)
	}
}

// insert puts a block where it takes precedence and takes nothing over: before
// the first Host or Match, since the first value wins, and after the options that
// stand above them and hold for all hosts.
func (f *file) insert(block []string) {
	end := f.end()
	at := len(f.lines)
	for i, line := range f.lines {
		if word, _ := keyword(line); word == "host" || word == "match" {
			at = i
			break
		}
	}
	if at < len(f.lines) { // comments above a Host belong to it
		for at > 0 && strings.HasPrefix(strings.TrimSpace(f.lines[at-1]), "#") {
			at--
		}
	}
	f.terminate(at, end)
	var lines []string
	if at > 0 && strings.TrimSpace(f.lines[at-1]) != "" {
		lines = append(lines, end)
	}
	for _, line := range block {
		lines = append(lines, line+end)
	}
	if at < len(f.lines) {
		lines = append(lines, end)
	}
	f.lines = slices.Insert(f.lines, at, lines...)
}

// terminate ends the line before at, if it is the file's last and has no end.
func (f *file) terminate(at int, end string) {
	if at > 0 && !strings.HasSuffix(f.lines[at-1], "\n") {
		f.lines[at-1] += end
	}
}

// include puts an Include line at the top, where it holds for all hosts.
func (f *file) include(path string) {
	if f.included(path) >= 0 {
		return
	}
	end := f.end()
	lines := []string{includeComment + end, "Include " + path + end}
	if len(f.lines) > 0 {
		lines = append(lines, end)
	}
	f.lines = append(lines, f.lines...)
}

// exclude takes the Include line out again.
func (f *file) exclude(path string) {
	i := f.included(path)
	if i < 0 {
		return
	}
	start, end := i, i+1
	if start > 0 && strings.TrimSpace(f.lines[start-1]) == includeComment {
		start--
	}
	if end < len(f.lines) && strings.TrimSpace(f.lines[end]) == "" {
		end++
	}
	f.lines = slices.Delete(f.lines, start, end)
}

func (f *file) included(path string) int {
	return slices.IndexFunc(f.lines, func(line string) bool {
		word, args := keyword(line)
		return word == "include" && strings.Trim(args, `"`) == strings.Trim(path, `"`)
	})
}
