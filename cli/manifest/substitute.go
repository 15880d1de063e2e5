package manifest

import (
	"errors"
	"fmt"
	"strings"
)

// maxNesting of ${A:-${B:-…}}: more is no manifest of a person.
const maxNesting = 16

// substitution is one run over a text.
type substitution struct {
	values map[string]string
	// unset are the variables that have neither a value nor a default.
	unset []string
	// unused is set within a default that is not used: what is missing there is
	// missed by nobody.
	unused bool
	depth  int
}

// substitute replaces variables as a shell does (POSIX XCU 2.6.2): $NAME, ${NAME},
// ${NAME:-default}, ${NAME:+other}, ${NAME:?message} and the same without the
// colon, which then only asks whether the variable is set and not whether it is
// empty. Defaults are replaced in turn. := is read as :-, since there is nothing
// to assign to. $$ is a dollar sign, and so is one that begins no name ($5, $(x)).
// unset names the variables that became empty for want of a value.
func substitute(text string, values map[string]string) (result string, unset []string, err error) {
	s := &substitution{values: values}
	result, rest, err := s.until(text, false)
	if err != nil {
		return "", nil, err
	}
	return result + rest, s.unset, nil
}

// until replaces in text up to its end, or up to the brace that closes the
// variable whose default it is; rest is what follows that brace.
func (s *substitution) until(text string, inner bool) (result, rest string, err error) {
	if s.depth++; s.depth > maxNesting {
		return "", "", errors.New("too many defaults within defaults")
	}
	defer func() { s.depth-- }()
	var b strings.Builder
	for text != "" {
		switch {
		case inner && text[0] == '}':
			return b.String(), text[1:], nil
		case strings.HasPrefix(text, "$$"):
			b.WriteByte('$')
			text = text[2:]
		case strings.HasPrefix(text, "${"):
			value, after, err := s.braced(text[2:])
			if err != nil {
				return "", "", err
			}
			b.WriteString(value)
			text = after
		case text[0] == '$' && nameLength(text[1:]) > 0:
			end := 1 + nameLength(text[1:])
			b.WriteString(s.value(text[1:end]))
			text = text[end:]
		default:
			b.WriteByte(text[0])
			text = text[1:]
		}
	}
	if inner {
		return "", "", errors.New("closing brace expected")
	}
	return b.String(), "", nil
}

// braced replaces what follows "${".
func (s *substitution) braced(text string) (value, rest string, err error) {
	end := nameLength(text)
	if end == 0 {
		return "", "", errors.New("a name is expected after ${; a dollar sign itself is written $$")
	}
	name, text := text[:end], text[end:]
	if strings.HasPrefix(text, "}") {
		return s.value(name), text[1:], nil
	}
	value, set := s.values[name]
	if strings.HasPrefix(text, ":") {
		set, text = value != "", text[1:]
	}
	if text == "" {
		return "", "", errors.New("closing brace expected")
	}
	operator := text[0]
	if !strings.ContainsRune("-=+?", rune(operator)) {
		return "", "", fmt.Errorf("only }, :-, :+ and :? may follow ${%s", name)
	}
	wanted := set == (operator == '+')
	outer := s.unused
	s.unused = outer || !wanted
	word, rest, err := s.until(text[1:], true)
	s.unused = outer
	switch {
	case err != nil:
		return "", "", err
	case !wanted && operator == '+':
		return "", rest, nil
	case !wanted:
		return value, rest, nil
	case operator == '?' && !s.unused:
		return "", "", &missingError{name, word}
	}
	return word, rest, nil
}

// missingError is for a variable that has to be set.
type missingError struct{ name, message string }

func (e *missingError) Error() string {
	if e.message == "" {
		return e.name + ": it has to be set"
	}
	return e.name + ": " + e.message
}

func (s *substitution) value(name string) string {
	value, set := s.values[name]
	if !set && !s.unused {
		s.unset = append(s.unset, name)
	}
	return value
}

// nameLength is how much of the beginning of a text is a name of a variable.
func nameLength(text string) int {
	for i := range len(text) {
		c := text[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(text)
}
