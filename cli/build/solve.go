package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/docker/cli/cli/config"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/cmd/buildctl/build"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth/authprovider"
	"github.com/moby/buildkit/session/sshforward/sshprovider"
	"github.com/moby/buildkit/util/progress/progressui"
	"github.com/tonistiigi/fsutil"
	"golang.org/x/sync/errgroup"

	"okteto/cli/ui"
	"okteto/internal/contract"
)

// maxDockerfile from standard input, in bytes.
const maxDockerfile = 1 << 20

// displayModes by the values of --progress.
var displayModes = map[string]progressui.DisplayMode{
	"": progressui.AutoMode, "auto": progressui.AutoMode, "tty": progressui.TtyMode,
	"plain": progressui.PlainMode, "json": progressui.RawJSONMode, "rawjson": progressui.RawJSONMode,
}

// solve is a build that can be run, and run again.
type solve struct {
	options   client.SolveOpt
	streams   ui.Streams
	mode      progressui.DisplayMode
	platforms []string
	// names that the image is exported under.
	names []string
	// pushes says that the image goes to a registry.
	pushes bool
	// temp holds a Dockerfile that came by standard input.
	temp string
	// files are outputs that are written; streamed says that something was
	// written to standard output, which cannot be done again.
	files    []*outputFile
	streamed atomic.Bool
	// foreign are platforms whose programs the builder cannot run. It is set when
	// a build has failed.
	foreign []string
}

func (s *solve) close() {
	if s.temp != "" {
		_ = os.RemoveAll(s.temp) // a temporary folder
	}
}

func newSolve(o *Options, tags []string) (*solve, error) {
	s := &solve{streams: o.Streams, mode: displayModes[o.Progress], platforms: o.Platforms}
	attrs, err := attributes(o)
	if err != nil {
		return nil, err
	}
	s.options = client.SolveOpt{Frontend: "dockerfile.v0", FrontendAttrs: attrs}
	if err := s.locals(o); err != nil {
		s.close()
		return nil, err
	}
	for _, set := range []func(*Options, []string) error{s.outputs, s.caches, s.attach} {
		if err := set(o, tags); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

// attributes of the Dockerfile frontend (docs/reference/dockerfile of BuildKit).
func attributes(o *Options) (map[string]string, error) {
	attrs := map[string]string{}
	if o.Target != "" {
		attrs["target"] = o.Target
	}
	if o.NoCache {
		attrs["no-cache"] = ""
	}
	if o.Pull {
		attrs["image-resolve-mode"] = "pull"
	}
	if len(o.Platforms) > 0 {
		attrs["platform"] = strings.Join(o.Platforms, ",")
	}
	for _, arg := range o.BuildArgs {
		name, value, has := strings.Cut(arg, "=")
		if name == "" {
			return nil, &ui.Problem{Summary: fmt.Sprintf("%q is not a build argument", arg), Hint: "write --build-arg NAME=value, or NAME for its value in your environment"}
		}
		if !has {
			// As docker build: one that is not in the environment is not set.
			if value, has = os.LookupEnv(name); !has {
				continue
			}
		}
		attrs["build-arg:"+name] = value
	}
	for _, label := range o.Labels {
		name, value, _ := strings.Cut(label, "=")
		attrs["label:"+name] = value
	}
	return attrs, nil
}

// locals are the folders that the builder may read.
func (s *solve) locals(o *Options) error {
	if contract.RemoteBuildContext(o.Context) {
		s.options.FrontendAttrs["context"] = o.Context
		if o.File != "" {
			s.options.FrontendAttrs["filename"] = o.File
		}
		return nil
	}
	context, err := filepath.Abs(o.Context)
	if err != nil {
		return fmt.Errorf("locate build context: %w", err)
	}
	file := o.dockerfile()
	if file == "-" {
		if file, err = s.fromInput(o.Streams.In); err != nil {
			return err
		}
	}
	s.options.LocalMounts = map[string]fsutil.FS{}
	for name, dir := range map[string]string{"context": context, "dockerfile": filepath.Dir(file)} {
		if s.options.LocalMounts[name], err = fsutil.NewFS(dir); err != nil {
			return &ui.Problem{Summary: "cannot read the build context " + dir, Cause: err}
		}
	}
	s.options.FrontendAttrs["filename"] = filepath.Base(file)
	// The builder keeps what it received under this key, so that the next build
	// of the same folder sends what changed.
	host, _ := os.Hostname() // without one, the path alone tells folders apart
	sum := sha256.Sum256([]byte(host + ":" + context))
	s.options.SharedKey = hex.EncodeToString(sum[:])
	return nil
}

func (s *solve) fromInput(in io.Reader) (string, error) {
	content, err := io.ReadAll(io.LimitReader(in, maxDockerfile+1))
	if err == nil && len(content) > maxDockerfile {
		err = fmt.Errorf("it is larger than %d bytes", maxDockerfile)
	}
	if err == nil {
		s.temp, err = os.MkdirTemp("", "okteto-build-")
	}
	file := filepath.Join(s.temp, "Dockerfile")
	if err == nil {
		err = os.WriteFile(file, content, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("read Dockerfile from standard input: %w", err)
	}
	return file, nil
}

// caches: a pushed image carries its cache, unless --cache-to says where to.
func (s *solve) caches(o *Options, _ []string) error {
	from, err := cacheSpecs(o.CacheFrom, o.Namespace)
	if err == nil {
		s.options.CacheImports, err = build.ParseImportCache(from)
	}
	if err != nil {
		return misunderstood("--cache-from", o.CacheFrom, "give an image, or type=registry,ref=IMAGE", err)
	}
	to, err := cacheSpecs(o.CacheTo, o.Namespace)
	if len(to) == 0 && s.pushes {
		to = []string{"type=inline"}
	}
	if err == nil {
		s.options.CacheExports, err = build.ParseExportCache(to)
	}
	if err != nil {
		return misunderstood("--cache-to", o.CacheTo, "such as: type=registry,ref=IMAGE,mode=max or type=inline", err)
	}
	return nil
}

func misunderstood(option string, values []string, hint string, err error) error {
	if problem := (*ui.Problem)(nil); errors.As(err, &problem) {
		return err
	}
	return &ui.Problem{Summary: "cannot understand " + option + " " + strings.Join(values, " "), Cause: err, Hint: hint}
}

// cacheSpecs spells a bare image out, and okteto.dev names.
func cacheSpecs(specs []string, namespace string) ([]string, error) {
	result := slices.Clone(specs)
	for i, spec := range result {
		if !strings.Contains(spec, "=") {
			spec = "type=registry,ref=" + spec
		}
		fields := strings.Split(spec, ",")
		if !slices.ContainsFunc(fields, func(f string) bool { return strings.HasPrefix(f, "type=") }) {
			return nil, fmt.Errorf("%s has no type", spec)
		}
		for n, field := range fields {
			ref, ok := strings.CutPrefix(field, "ref=")
			if !ok {
				continue
			}
			full, err := Expand(ref, namespace)
			if err != nil {
				return nil, err
			}
			fields[n] = "ref=" + full
		}
		result[i] = strings.Join(fields, ",")
	}
	return result, nil
}

// attach hands the builder what it may ask for during the build: registry
// credentials, secrets, SSH agents.
func (s *solve) attach(o *Options, _ []string) error {
	attachables := []session.Attachable{authprovider.NewDockerAuthProvider(authprovider.DockerAuthProviderConfig{
		// Docker's own: DOCKER_CONFIG, else ~/.docker, with its helpers.
		AuthConfigProvider: authprovider.LoadAuthConfig(config.LoadDefaultConfigFile(o.Streams.ErrOut)),
	})}
	if len(o.Secrets) > 0 {
		secrets, err := build.ParseSecret(o.Secrets)
		if err != nil {
			return &ui.Problem{Summary: "cannot use a --secret", Cause: err, Hint: "write --secret id=NAME,src=FILE, or id=NAME,env=VARIABLE"}
		}
		attachables = append(attachables, secrets)
	}
	if len(o.SSH) > 0 {
		configs, err := build.ParseSSH(o.SSH)
		var agents session.Attachable
		if err == nil {
			agents, err = sshprovider.NewSSHAgentProvider(configs)
		}
		if err != nil {
			return &ui.Problem{Summary: "cannot use --ssh " + strings.Join(o.SSH, " "), Cause: err, Hint: "write --ssh default for your agent, or NAME=KEYFILE"}
		}
		attachables = append(attachables, agents)
	}
	s.options.Session = attachables
	return nil
}

// run builds, with BuildKit's own display.
func (s *solve) run(ctx context.Context, c *client.Client) (*client.SolveResponse, error) {
	display, err := progressui.NewDisplay(s.streams.ErrOut, s.mode)
	if err != nil {
		return nil, &ui.Problem{Summary: "cannot show progress as tty", Cause: err, Hint: "use --progress plain where there is no terminal"}
	}
	options := s.options
	options.FrontendAttrs = maps.Clone(options.FrontendAttrs)
	status := make(chan *client.SolveStatus)
	var response *client.SolveResponse
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		var err error
		response, err = c.Solve(groupCtx, nil, options, status)
		return err
	})
	group.Go(func() error {
		// Solve closes the channel; the display must empty it until then.
		_, err := display.UpdateFrom(context.WithoutCancel(ctx), status)
		return err
	})
	err = group.Wait()
	if err != nil {
		s.foreign = notRun(ctx, c, s.platforms)
	}
	return response, s.finishFiles(err)
}
