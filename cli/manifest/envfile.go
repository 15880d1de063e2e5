package manifest

import (
	"bytes"
	"os"
	"slices"
	"strings"

	"github.com/joho/godotenv"
)

// readEnvFile reads a file of KEY=VALUE lines, sorted by key. What cannot be read
// of it is *Error with the line, and without a word of what is on that line: such
// files hold secrets.
func readEnvFile(path string) (Environment, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf")) // as Windows' editors write it
	values, err := godotenv.UnmarshalBytes(content)
	if err != nil {
		return nil, &Error{Issues: []Issue{{
			Path: path, Line: badLine(string(content)), Column: 1,
			Message: "neither KEY=VALUE nor a comment, or a quote that is not closed",
			Hint:    "a value with spaces, #, or several lines is written in quotes",
		}}}
	}
	var vars Environment
	for name, value := range values {
		vars = append(vars, EnvVar{Name: name, Value: value})
	}
	slices.SortFunc(vars, func(a, b EnvVar) int { return strings.Compare(a.Name, b.Name) })
	return vars, nil
}

// maxValueLines is how many lines of one quoted value badLine looks at.
const maxValueLines = 200

// badLine is the first line, from 1, that begins what cannot be read; the parser
// does not tell. A quoted value may go on over several lines.
func badLine(content string) int {
	lines := strings.SplitAfter(content, "\n")
	for start := 0; start < len(lines); {
		end := start + 1
		limit := min(len(lines), start+maxValueLines)
		for end <= limit {
			if _, err := godotenv.Unmarshal(strings.Join(lines[start:end], "")); err == nil {
				break
			}
			end++
		}
		if end > limit {
			return start + 1
		}
		start = end
	}
	return 1
}
