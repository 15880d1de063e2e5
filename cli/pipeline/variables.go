package pipeline

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"okteto/cli/ui"
)

// mask stands for a secret in what is recorded.
const mask = "***"

// Variable of a pipeline.
type Variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// secret values are given to the commands and recorded nowhere.
	secret bool
}

var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// secretName are the words that names of secrets usually have.
	secretName = regexp.MustCompile(`(?i)(secret|token|passw|passphrase|credential|private|api_?key|access_?key|auth)`)
)

// ParseVariables reads NAME=value, or NAME, whose value is that of the
// environment. The values of the latter, and of names that speak of secrets,
// are never recorded.
func ParseVariables(args []string) ([]Variable, error) {
	var result []Variable
	for _, arg := range args {
		name, value, has := strings.Cut(arg, "=")
		if !variableName.MatchString(name) {
			return nil, &ui.Problem{
				Summary: fmt.Sprintf("%q is not a variable", name),
				Hint:    "write -v NAME=value, or -v NAME for the value it has in your environment",
			}
		}
		if !has {
			if value, has = os.LookupEnv(name); !has {
				return nil, &ui.Problem{
					Summary: fmt.Sprintf("variable %s has no value and is not in the environment", name),
					Hint:    fmt.Sprintf("write -v %s=value, or export it first", name),
				}
			}
			result = append(result, Variable{name, value, true})
			continue
		}
		result = append(result, Variable{name, value, secretName.MatchString(name)})
	}
	return result, nil
}

// environ are the variables as a process takes them.
func environ(variables []Variable) []string {
	result := make([]string, 0, len(variables))
	for _, v := range variables {
		result = append(result, v.Name+"="+v.Value)
	}
	return result
}

// encodeVariables is what is recorded, in the original's form: base64 of a JSON
// list (pkg/cmd/pipeline/translate.go).
func encodeVariables(variables []Variable) (string, error) {
	open := slices.DeleteFunc(slices.Clone(variables), func(v Variable) bool { return v.secret })
	if len(open) == 0 {
		return "", nil
	}
	content, err := json.Marshal(open)
	if err != nil {
		return "", fmt.Errorf("encode variables: %w", err)
	}
	return base64.StdEncoding.EncodeToString(content), nil
}

// decodeVariables reads what encodeVariables, or the original, wrote.
func decodeVariables(encoded string) ([]Variable, error) {
	if encoded == "" {
		return nil, nil
	}
	content, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("decode variables: %w", err)
	}
	var result []Variable
	if err := json.Unmarshal(content, &result); err != nil {
		return nil, fmt.Errorf("decode variables: %w", err)
	}
	return result, nil
}

// secretsOf are the values that must not be recorded.
func secretsOf(variables []Variable, more ...string) []string {
	var result []string
	for _, v := range variables {
		if v.secret {
			result = append(result, v.Value)
		}
	}
	result = append(result, more...)
	return slices.DeleteFunc(result, func(s string) bool { return s == "" })
}
