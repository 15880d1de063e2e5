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
	if err := o.Validate(); err != nil {
		return err
	}
	name, err := o.PipelineName()
	if err != nil {
		return err
	}
	ctx, cancel := o.limit(ctx)
	defer cancel()
	if err := o.Client.CheckNamespace(ctx); err != nil {
		return err
	}
	return o.explain(ctx, name, o.destroy(ctx, name))
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
	variables := slices.Concat(record.Variables, o.Variables)
	s, err := newSession(&o.Options, name, files, variables)
	if err != nil {
		return err
	}
	if err := checkPrograms(file.Destroy, s.shell.env); err != nil {
		return errors.Join(err, s.close())
	}
	r, err := acquire(ctx, o.Client, name, func(r *Record, _ bool) (bool, error) {
		if r.Status != Destroying || !bytes.Equal(r.yaml, file.Content) {
			r.destroyed = 0
		}
		r.Status, r.yaml, r.File = Destroying, file.Content, file.Path
		return true, nil
	}, s.waiting())
	if err != nil {
		return errors.Join(err, s.close())
	}
	d := &destruction{DestroyOptions: o, name: name, session: s, run: r}
	return s.within(ctx, r, "", func(ctx context.Context) error { return d.work(ctx, file.Destroy) })
}

// nothing reports whether there is no trace of the pipeline.
func (o *DestroyOptions) nothing(ctx context.Context, name string) (bool, error) {
	s, err := newSweeper(o.Client, name, nil, func(string) {})
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
	name    string
	session *session
	run     *run
}

func (d *destruction) work(ctx context.Context, commands []Command) error {
	d.run.mu.Lock()
	namespaces, first := slices.Clone(d.run.record.namespaces), d.run.record.destroyed
	d.run.mu.Unlock()
	sweep, err := newSweeper(d.Client, d.name, namespaces, d.say)
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
	if first < len(commands) {
		err := d.session.shell.run(ctx, commands, first, func(done int) error {
			return d.run.save(ctx, func(r *Record) { r.destroyed = done })
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
		var kept []item
		if !d.Volumes {
			items, kept = keepVolumes(items)
		}
		if len(items) == 0 {
			d.done(kept)
			return nil
		}
		err = s.remove(ctx, items, func(i item) { d.say("deleting " + i.String()) })
		if err != nil {
			return err
		}
	}
}

func isClaim(i item) bool { return i.gvr.Group == "" && i.gvr.Resource == claims }

// keepVolumes takes claims out of what is deleted, and the namespaces that would
// take them along.
func keepVolumes(items []item) (rest, kept []item) {
	for _, i := range items {
		inside := i.gvr.Group == "" && i.gvr.Resource == "namespaces" &&
			slices.ContainsFunc(items, func(c item) bool { return isClaim(c) && c.Namespace == i.Name })
		if inside || isClaim(i) {
			kept = append(kept, i)
		} else {
			rest = append(rest, i)
		}
	}
	return rest, kept
}

func (d *destruction) done(kept []item) {
	fmt.Fprintf(d.Streams.ErrOut, "pipeline %s is destroyed\n", d.name)
	if len(kept) == 0 {
		return
	}
	names := make([]string, 0, len(kept))
	for _, i := range kept {
		names = append(names, i.String())
	}
	fmt.Fprintf(d.Streams.ErrOut, "  kept: %s\n  remove them with: okteto pipeline destroy --volumes --name %s\n", strings.Join(names, ", "), d.name)
}
