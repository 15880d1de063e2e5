package build

import (
	"fmt"
	"os"
	"strings"

	"github.com/distribution/reference"

	"okteto/cli/ui"
	"okteto/internal/contract"
)

// expand turns names into full ones: okteto.dev/NAME into the registry's name
// with the namespace, and everything else the way Docker does.
func expand(names []string, namespace string) ([]string, error) {
	var result []string
	for _, name := range names {
		full, err := Expand(name, namespace)
		if err != nil {
			return nil, err
		}
		parsed, err := reference.ParseNormalizedNamed(full)
		if err != nil {
			return nil, &ui.Problem{Summary: fmt.Sprintf("%q is not the name of an image", name), Cause: err, Hint: "write REGISTRY/NAME:TAG"}
		}
		if _, ok := parsed.(reference.Digested); ok {
			return nil, &ui.Problem{Summary: fmt.Sprintf("%q has a digest, which an image has only after it is built", name), Hint: "write REGISTRY/NAME:TAG"}
		}
		result = append(result, reference.TagNameOnly(parsed).String())
	}
	return result, nil
}

// Expand replaces okteto.dev/NAME by REGISTRY/NAMESPACE/NAME, where REGISTRY is
// OKTETO_REGISTRY_URL; other names stay as they are.
func Expand(name, namespace string) (string, error) {
	rest, ok := strings.CutPrefix(name, contract.OktetoRegistry)
	if !ok {
		return name, nil
	}
	registry := os.Getenv(contract.EnvRegistryURL)
	for _, scheme := range []string{"https://", "http://"} {
		registry = strings.TrimPrefix(registry, scheme)
	}
	registry = strings.TrimRight(registry, "/")
	if registry == "" {
		return "", &ui.Problem{
			Summary: fmt.Sprintf("%s has no registry to go to", name),
			Detail:  contract.OktetoRegistry + " stands for the registry that " + contract.EnvRegistryURL + " names, and it is not set",
			Hint:    fmt.Sprintf("export %s=registry.example.com\nor give the full name of the image", contract.EnvRegistryURL),
		}
	}
	if namespace == "" {
		return registry + "/" + rest, nil
	}
	return registry + "/" + namespace + "/" + rest, nil
}

// repository is a name without its tag.
func repository(name string) string {
	parsed, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return name // never: expand made it
	}
	return parsed.Name()
}
