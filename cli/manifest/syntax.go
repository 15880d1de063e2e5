package manifest

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
)

// yamlLine finds the line in a message of the YAML library, which has no other
// way to tell it. It only decides what is shown.
var yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)

// unknownAnchor finds the name in a message that comes without a line.
var unknownAnchor = regexp.MustCompile(`^yaml: unknown anchor '(.+)' referenced$`)

// syntaxIssue says where the YAML itself is wrong. A tab in the indentation is
// the most frequent reason, and the library's words for it help nobody.
func (d *decoder) syntaxIssue(content []byte, err error) Issue {
	lines := bytes.Split(content, []byte("\n"))
	for i, line := range lines {
		indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
		if tab := bytes.IndexByte(indent, '\t'); tab >= 0 && len(bytes.TrimSpace(line)) > 0 {
			return Issue{
				Path: d.path, Line: i + 1, Column: tab + 1,
				Message: "a tab in the indentation", Hint: "YAML is indented with spaces",
			}
		}
	}
	if found := unknownAnchor.FindStringSubmatch(err.Error()); found != nil {
		reference := regexp.MustCompile(`\*` + regexp.QuoteMeta(found[1]) + `([\s,}\]]|$)`)
		for i, line := range lines {
			if at := reference.FindIndex(line); at != nil {
				return Issue{
					Path: d.path, Line: i + 1, Column: at[0] + 1, Message: strings.TrimPrefix(err.Error(), "yaml: "),
					Hint: "define it above, as &" + found[1] + "; a text that begins with * is written in quotes",
				}
			}
		}
	}
	issue := Issue{Path: d.path, Line: 1, Column: 1, Message: strings.TrimPrefix(err.Error(), "yaml: ")}
	if found := yamlLine.FindStringSubmatch(err.Error()); found != nil {
		issue.Line, _ = strconv.Atoi(found[1])
		issue.Message = err.Error()[len(found[0]):]
	}
	if issue.Line >= 1 && issue.Line <= len(lines) {
		line := lines[issue.Line-1]
		issue.Column = len(line) - len(bytes.TrimLeft(line, " ")) + 1
	}
	return issue
}
