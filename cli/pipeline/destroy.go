package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// DestroyOptions of Destroy.
type DestroyOptions struct {
	Options
	// Variables are given to the commands besides those of the deploy.
	Variables []Variable
	// Volumes also deletes the claims, with what is on them.
	Volumes bool
	// SkipCommands runs none of the file's commands.
	SkipCommands bool
}

// Destroy runs the destroy commands of a pipeline's file, and then deletes
// whatever carries its mark. It is idempotent and goes on where an earlier one
// was interrupted. A failed command is a *ui.ExitError with its exit code.
func Destroy(ctx context.Context, o DestroyOptions) error {
	return o.framed(ctx, o.destroy)
}

func (o *DestroyOptions) destroy(ctx context.Context, name string) error {
	record, err := Get(ctx, o.Client, name)
	if err != nil {
		return err
	}
	if record == nil {
		if nothing, err := o.nothing(ctx, name); err != nil || nothing {
			return err
		}
		record = &Record{Name: name, Namespace: o.Client.Namespace}
	}
	files, file, err := o.files(ctx, record)
	if err != nil {
		return err
	}
	defer files.remove()
	return o.hold(ctx, turn{
		name: name, files: files, variables: slices.Concat(record.Variables, o.Variables), commands: file.Destroy,
		begin: func(r *Record, _ bool) (bool, error) {
			if r.Status != Destroying || !bytes.Equal(r.yaml, file.Content) {
				r.destroyed = 0
			}
			r.Status, r.yaml, r.File = Destroying, file.Content, file.Path
			return true, nil
		},
		work: func(ctx context.Context, s *session) error {
			return (&destruction{DestroyOptions: o, session: s}).work(ctx, file.Destroy)
		},
	})
}

// nothing reports whether there is no trace of the pipeline.
func (o *DestroyOptions) nothing(ctx context.Context, name string) (bool, error) {
	s, err := newSweeper(ctx, o.Client, name, nil, nil, func(string) {})
	if err != nil {
		return false, err
	}
	items, err := s.find(ctx)
	if err != nil {
		return false, err
	}
	if !o.Volumes {
		items = slices.DeleteFunc(items, isClaim)
	}
	if len(items) == 0 {
		fmt.Fprintf(o.Streams.ErrOut, "there is no pipeline %s in namespace %s\n", name, o.Client.Namespace)
	}
	return len(items) == 0, nil
}

// files finds the pipeline's file and what its commands may need: what the
// options name, else a clone of what was deployed, else the working folder if
// that is the deployed one, else the recorded file alone.
func (o *DestroyOptions) files(ctx context.Context, record *Record) (*checkout, *File, error) {
	if o.SkipCommands {
		return o.recorded(&Record{})
	}
	source := o.Source
	named := source.Repository != "" || source.Branch != "" || source.File != ""
	if !named && record.cloned {
		source = Source{Repository: record.Repository, Branch: record.Branch, File: record.File}
	}
	files, err := source.open(ctx, o.Streams)
	if err != nil {
		return nil, nil, err
	}
	file, err := readFile(files.dir, source.File)
	same := o.Name == "" || record.Status == "" || files.repository == record.Repository
	if err == nil && (named || record.cloned || same) {
		return files, file, nil
	}
	files.remove()
	if err != nil && !errors.Is(err, errNoFile) || named {
		return nil, nil, err
	}
	return o.recorded(record)
}

// recorded is the file as the deploy recorded it, in an empty folder.
func (o *DestroyOptions) recorded(record *Record) (*checkout, *File, error) {
	file := &File{}
	if len(record.yaml) > 0 {
		var err error
		if file, err = parse(record.File, record.yaml); err != nil {
			return nil, nil, err
		}
	}
	dir, err := os.MkdirTemp("", "okteto-pipeline-")
	if err != nil {
		return nil, nil, fmt.Errorf("make a folder to run in: %w", err)
	}
	return &checkout{dir: dir, cloned: true, repository: record.Repository, branch: record.Branch, commit: record.Commit}, file, nil
}

// destruction is a running destroy.
type destruction struct {
	*DestroyOptions
	session *session
}

func (d *destruction) work(ctx context.Context, commands []Command) error {
	run := d.session.run
	namespaces, kinds := run.places()
	sweep, err := newSweeper(ctx, d.Client, d.session.name, namespaces, kinds, d.say)
	if err != nil {
		return err
	}
	if err := sweep.markClaims(ctx); err != nil {
		return err
	}
	items, err := sweep.find(ctx)
	if err != nil {
		return err
	}
	if err := checkHelm(releases(items)); err != nil {
		return err
	}
	if first := run.destroyed(); first < len(commands) {
		err := d.session.shell.run(ctx, commands, first, func(done int) error {
			return run.save(ctx, func(r *Record) { r.destroyed = done })
		})
		if err != nil {
			return err
		}
		if items, err = sweep.find(ctx); err != nil {
			return err
		}
	}
	if err := d.uninstall(ctx, releases(items)); err != nil {
		return err
	}
	return d.sweep(ctx, sweep)
}

func (d *destruction) say(text string) { fmt.Fprintln(d.session.shell.errOut, text) }

// uninstall removes helm releases; claims that are to be kept are kept by the
// proxy, since helm would delete those of its chart.
func (d *destruction) uninstall(ctx context.Context, found []release) (err error) {
	if len(found) == 0 {
		return nil
	}
	config := d.session.config
	config.KeepVolumes = !d.Volumes
	p, kubeconfig, err := d.session.startProxy(config)
	if p != nil {
		defer func() { err = errors.Join(err, p.Close()) }()
	}
	if err != nil {
		return err
	}
	env := append(slices.Clone(d.session.shell.env), "KUBECONFIG="+kubeconfig)
	for _, r := range found {
		d.say("uninstalling helm release " + r.name)
		if err := uninstall(ctx, r, env); err != nil {
			return err
		}
	}
	return nil
}

// sweep deletes what is left until nothing is: a controller may have created
// something meanwhile.
func (d *destruction) sweep(ctx context.Context, s *sweeper) error {
	for {
		items, err := s.find(ctx)
		if err != nil {
			return err
		}
		items, kept, err := s.keep(ctx, items, d.Volumes)
		if err != nil {
			return err
		}
		if len(items) == 0 {
			return d.done(s, kept)
		}
		err = s.remove(ctx, items, func(i item) { d.say("deleting " + i.String()) })
		if err != nil {
			return err
		}
	}
}

func (d *destruction) done(s *sweeper, kept keeping) error {
	if err := s.complete(); err != nil {
		return err
	}
	name := d.session.name
	fmt.Fprintf(d.Streams.ErrOut, "pipeline %s is destroyed\n", name)
	if len(kept.volumes) > 0 {
		fmt.Fprintf(d.Streams.ErrOut, "  kept: %s\n  remove them with: okteto pipeline destroy --volumes --name %s\n", strings.Join(kept.volumes, ", "), name)
	}
	for _, used := range kept.used {
		fmt.Fprintf(d.Streams.ErrOut, "  kept: %s\n", used)
	}
	return nil
}
