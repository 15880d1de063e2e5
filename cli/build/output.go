package build

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session/filesync"

	"okteto/cli/ui"
)

// registryType is docker buildx's name for an image that is pushed.
const registryType = "registry"

// outputSpecs spells out what --output leaves to be understood. With names and
// nothing else said, the image is pushed.
func outputSpecs(outputs, tags []string) []string {
	specs := slices.Clone(outputs)
	for i, spec := range specs {
		if !strings.Contains(spec, "=") { // docker build: a folder, or - for a tar
			// Quoted, as a path may have commas (RFC 4180).
			specs[i] = `type=local,"dest=` + strings.ReplaceAll(spec, `"`, `""`) + `"`
			if spec == "-" {
				specs[i] = "type=tar,dest=-"
			}
		}
	}
	if len(specs) == 0 && len(tags) > 0 {
		specs = []string{"type=image,push=true"}
	}
	return specs
}

// StreamsOutput reports whether an output goes to standard output.
func (o *Options) StreamsOutput() bool {
	for _, spec := range outputSpecs(o.Outputs, nil) {
		if e, dest, err := parseOutput(spec); err == nil && isFile(e) && (dest == "" || dest == "-") {
			return true
		}
	}
	return false
}

// parseOutput reads TYPE and attributes as docker buildx does, comma-separated
// values of which each has a name. dest is not left among them.
func parseOutput(spec string) (e client.ExportEntry, dest string, err error) {
	e.Attrs = map[string]string{}
	fields, err := csv.NewReader(strings.NewReader(spec)).Read()
	if err != nil {
		return e, "", err
	}
	for _, field := range fields {
		key, value, ok := strings.Cut(field, "=")
		if !ok {
			return e, "", fmt.Errorf("%q has no value", field)
		}
		if key = strings.ToLower(strings.TrimSpace(key)); key == "type" {
			e.Type = value
		} else {
			e.Attrs[key] = value
		}
	}
	dest = e.Attrs["dest"]
	delete(e.Attrs, "dest")
	switch e.Type {
	case registryType:
		e.Type, e.Attrs["push"] = client.ExporterImage, "true"
	case client.ExporterImage, client.ExporterLocal, client.ExporterTar, client.ExporterOCI, client.ExporterDocker:
	case "":
		return e, "", errors.New("it has no type")
	default:
		return e, "", fmt.Errorf("unknown type %q", e.Type)
	}
	return e, dest, nil
}

// isFile reports whether the output is one file, as opposed to a folder or
// something that the builder keeps.
func isFile(e client.ExportEntry) bool {
	switch e.Type {
	case client.ExporterTar:
		return true
	case client.ExporterOCI, client.ExporterDocker:
		archive, err := strconv.ParseBool(e.Attrs["tar"])
		return archive || err != nil
	}
	return false
}

func (s *solve) outputs(o *Options, tags []string) error {
	for _, spec := range outputSpecs(o.Outputs, tags) {
		e, dest, err := parseOutput(spec)
		if err == nil {
			err = s.destination(&e, dest)
		}
		if err != nil {
			return &ui.Problem{Summary: "cannot use --output " + spec, Cause: err, Hint: "such as: type=local,dest=DIR or type=oci,dest=FILE"}
		}
		named := e.Type == client.ExporterImage || e.Type == client.ExporterOCI || e.Type == client.ExporterDocker
		if named && e.Attrs["name"] == "" && len(tags) > 0 {
			e.Attrs["name"] = strings.Join(tags, ",")
		}
		if named && e.Attrs["name"] != "" {
			s.names = strings.Split(e.Attrs["name"], ",")
		}
		push, _ := strconv.ParseBool(e.Attrs["push"]) // the builder judges it
		s.pushes = s.pushes || e.Type == client.ExporterImage && push
		s.options.Exports = append(s.options.Exports, e)
	}
	return nil
}

// destination says where on this machine an output goes.
func (s *solve) destination(e *client.ExportEntry, dest string) error {
	switch {
	case isFile(*e) && (dest == "" || dest == "-"):
		if _, ok := ui.Terminal(s.streams.Out); ok {
			return errors.New("a terminal is no place for an archive")
		}
		if s.streams.Out == nil {
			return errors.New("standard output has one already")
		}
		out := s.streams.Out
		s.streams.Out = nil // taken
		e.Output = func(map[string]string) (io.WriteCloser, error) {
			s.streamed.Store(true)
			return keptOpen{out}, nil
		}
	case isFile(*e):
		f, err := newOutputFile(dest)
		if err != nil {
			return err
		}
		s.files = append(s.files, f)
		e.Output = f.open
	case e.Type == client.ExporterImage && dest != "":
		return errors.New("an image has no dest")
	case e.Type != client.ExporterImage && dest == "":
		return errors.New("it has no dest")
	case e.Type != client.ExporterImage:
		if info, err := os.Stat(dest); err == nil && !info.IsDir() {
			return fmt.Errorf("%s is not a folder", dest)
		}
		e.OutputDir = dest
	}
	return nil
}

// finishFiles puts the written files in their places if the build ended well,
// else removes them.
func (s *solve) finishFiles(err error) error {
	for _, f := range s.files {
		if err == nil {
			err = f.commit()
		}
		f.discard()
	}
	return err
}

type keptOpen struct{ io.Writer }

func (keptOpen) Close() error { return nil }

// outputFile is a file that is there once it is whole: a build that fails leaves
// what was there before.
type outputFile struct {
	path string
	// temp is written beside path, and empty if path is no regular file and is
	// written directly.
	temp string
}

func newOutputFile(path string) (*outputFile, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a folder", path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		_, err = os.Stat(filepath.Dir(path))
	}
	return &outputFile{path: path}, err
}

var _ filesync.FileOutputFunc = (*outputFile)(nil).open

func (f *outputFile) open(map[string]string) (io.WriteCloser, error) {
	f.discard() // that of an attempt before
	if info, err := os.Stat(f.path); err == nil && !info.Mode().IsRegular() {
		return os.OpenFile(f.path, os.O_WRONLY, 0)
	}
	file, err := os.CreateTemp(filepath.Dir(f.path), "."+filepath.Base(f.path)+"-*")
	if err != nil {
		return nil, err
	}
	f.temp = file.Name()
	return file, os.Chmod(f.temp, 0o644)
}

func (f *outputFile) commit() error {
	if f.temp == "" {
		return nil
	}
	if err := os.Rename(f.temp, f.path); err != nil {
		return fmt.Errorf("write the build's output: %w", err)
	}
	f.temp = ""
	return nil
}

func (f *outputFile) discard() {
	if f.temp != "" {
		_ = os.Remove(f.temp) // of no use
		f.temp = ""
	}
}
