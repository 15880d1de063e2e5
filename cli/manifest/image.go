package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"

	"go.yaml.in/yaml/v3"

	"okteto/internal/contract"
)

// Image is the image of an environment: its name, or a mapping that also says
// how `up --build` makes it.
type Image struct {
	Name string `json:"name,omitempty" expand:"true" doc:"Name of the image, and what up --build pushes it as: okteto.dev/<environment>:okteto unless set."`
	// Context is absolute, or an address that the builder fetches.
	Context    string      `json:"context,omitempty" expand:"true" doc:"Folder of the build, or the address of a Git repository or an archive; the folder of the manifest unless set."`
	Dockerfile string      `json:"dockerfile,omitempty" expand:"true" doc:"Dockerfile, in the context or else in the folder of the manifest; Dockerfile unless set."`
	Target     string      `json:"target,omitempty" expand:"true" doc:"Stage of the Dockerfile to build."`
	Args       Environment `json:"args,omitempty" expand:"true" doc:"Build arguments: a map, or a list of KEY=VALUE, or KEY for the laptop's own value."`
	CacheFrom  StringList  `json:"cache_from,omitempty" expand:"true" doc:"Images to take the build's cache from."`

	// Builds is set when the manifest says how the image is made.
	Builds bool `json:"-"`
	dir    string
}

// defaultImageTag is the tag of an image that is built and has no name.
const defaultImageTag = ":okteto"

func (i *Image) decodeNode(d *decoder, field string, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		i.Name, _ = d.text(field, n, `expand:"true"`)
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fail(field, n, "", "expected the name of an image, or a mapping of name, context, dockerfile, target, args, cache_from; got %s", describe(n))
		return
	}
	d.decodeStruct(field, n, reflect.ValueOf(i).Elem())
	i.Builds, i.dir = true, d.env.dir
	if !contract.RemoteBuildContext(i.Context) {
		i.Context = d.localPath(orElse(i.Context, "."))
	}
}

// BuildName is what the image of the environment is pushed as.
func (d *Dev) BuildName() string {
	if d.Image != "" {
		return d.Image
	}
	return contract.OktetoRegistry + d.Name + defaultImageTag
}

// File is the Dockerfile to give to the build. One that is in neither place is
// looked for in the context, and the build says that it is not there.
func (i *Image) File() (string, error) {
	if i.Dockerfile == "" || filepath.IsAbs(i.Dockerfile) || contract.RemoteBuildContext(i.Context) {
		return i.Dockerfile, nil
	}
	inContext := filepath.Join(i.Context, i.Dockerfile)
	if _, err := os.Stat(inContext); !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			return "", fmt.Errorf("look for the Dockerfile: %w", err)
		}
		return inContext, nil
	}
	beside := filepath.Join(i.dir, i.Dockerfile)
	if _, err := os.Stat(beside); err == nil {
		return beside, nil
	}
	return inContext, nil
}
