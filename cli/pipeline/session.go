package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"okteto/cli/pipeline/proxy"
)

// session is what a run's commands need: the proxy, its kubeconfig in a
// temporary folder, the shell, and the tail of the log.
type session struct {
	o      *Options
	name   string
	dir    string
	proxy  *proxy.Proxy
	shell  *shell
	log    *tail
	run    *run // set once the pipeline is held
	config proxy.Options
}

func newSession(o *Options, name string, files *checkout, variables []Variable) (*session, error) {
	sh, err := newShell()
	if err != nil {
		return nil, err
	}
	s := &session{o: o, name: name, shell: sh, log: newTail(secretsOf(variables, files.secret))}
	s.config = proxy.Options{Config: o.Client.Config, Name: objectName(name), Namespace: o.Client.Namespace, Creates: s.creates}
	if s.dir, err = os.MkdirTemp("", "okteto-pipeline-run-"); err != nil {
		return nil, fmt.Errorf("make a folder for the kubeconfig: %w", err)
	}
	var kubeconfig string
	if s.proxy, kubeconfig, err = s.startProxy(s.config); err != nil {
		return nil, errors.Join(err, s.close())
	}
	sh.dir = files.dir
	sh.env = commandEnv(kubeconfig, o.Client.Namespace, files, variables)
	sh.out, sh.errOut = io.MultiWriter(o.Streams.Out, s.log), io.MultiWriter(o.Streams.ErrOut, s.log)
	sh.heading = func(number, of int, c Command) {
		fmt.Fprintf(sh.errOut, "[%d/%d] %s\n", number, of, c.Name)
	}
	return s, nil
}

// framed is what a deploy and a destroy have around them: the checks before
// anything is done, the limit of time, and errors as people read them.
func (o *Options) framed(ctx context.Context, work func(ctx context.Context, name string) error) error {
	if err := o.Validate(); err != nil {
		return err
	}
	name, err := o.PipelineName()
	if err != nil {
		return err
	}
	ctx, cancel := o.limit(ctx)
	defer cancel()
	err = o.Client.CheckNamespace(ctx)
	if err == nil {
		err = work(ctx, name)
	}
	return o.explain(ctx, name, err)
}

// turn is one deploy or destroy of a pipeline whose files are there.
type turn struct {
	name      string
	files     *checkout
	variables []Variable
	// commands that may be run.
	commands []Command
	// begin is that of acquire, and end the status afterwards; "" removes the
	// record.
	begin func(*Record, bool) (bool, error)
	end   Status
	// work is done while the pipeline is held, with the session's run set.
	work func(context.Context, *session) error
}

// hold waits until no other run has the pipeline, and does the work.
func (o *Options) hold(ctx context.Context, t turn) error {
	s, err := newSession(o, t.name, t.files, t.variables)
	if err != nil {
		return err
	}
	if err := checkPrograms(t.commands, s.shell.env); err != nil {
		return errors.Join(err, s.close())
	}
	r, err := acquire(ctx, o.Client, t.name, t.begin, s.waiting())
	if err != nil || r == nil {
		return errors.Join(err, s.close())
	}
	return s.within(ctx, r, t.end, func(ctx context.Context) error { return t.work(ctx, s) })
}

// startProxy starts a proxy and writes the kubeconfig that leads to it.
func (s *session) startProxy(o proxy.Options) (*proxy.Proxy, string, error) {
	p, err := proxy.Start(o)
	if err != nil {
		return nil, "", err
	}
	content, err := p.Kubeconfig()
	if err != nil {
		return p, "", err
	}
	file, err := os.CreateTemp(s.dir, "kubeconfig-") // mode 0600
	if err != nil {
		return p, "", fmt.Errorf("write kubeconfig: %w", err)
	}
	_, err = file.Write(content)
	if err := errors.Join(err, file.Close()); err != nil {
		return p, "", fmt.Errorf("write kubeconfig: %w", err)
	}
	return p, filepath.Clean(file.Name()), nil
}

// creates records what kind of object is created where, before it is.
func (s *session) creates(ctx context.Context, kind, namespace string) error {
	return s.run.save(ctx, func(r *Record) {
		if !slices.Contains(r.kinds, kind) {
			r.kinds = append(r.kinds, kind)
		}
		if namespace != "" && namespace != r.Namespace && !slices.Contains(r.namespaces, namespace) {
			r.namespaces = append(r.namespaces, namespace)
		}
	})
}

func (s *session) close() error {
	var err error
	if s.proxy != nil {
		err = s.proxy.Close()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// waiting says, once for each, which other run is waited for.
func (s *session) waiting() func(*Record) {
	last := ""
	return func(r *Record) {
		if r.lock == last {
			return
		}
		last = r.lock
		fmt.Fprintf(s.o.Streams.ErrOut, "%s is %s pipeline %s; waiting\n", r.Holder, r.Status, s.name)
	}
}

// within does the work of a run that holds the pipeline, keeps the lock
// meanwhile, and records how it ended: with status end, or as failed. An end of
// "" removes the record.
func (s *session) within(ctx context.Context, r *run, end Status, work func(context.Context) error) error {
	s.run = r
	r.mu.Lock()
	r.log = s.log
	r.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		r.renew(ctx, cancel)
	}()
	err := work(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		err = cause // what failed then failed because of it
	}
	cancel(nil)
	<-renewed
	closed := s.close()
	var finished error
	switch {
	case errors.Is(err, errLost):
	case err == nil && end == "":
		finished = r.remove(ctx)
	case err == nil:
		finished = r.finish(ctx, func(record *Record) { record.Status = end })
	default:
		finished = r.finish(ctx, func(record *Record) { record.fail(err, s.log) })
	}
	return errors.Join(err, closed, finished)
}

// fail records why a run failed. A destroy that failed is still to be finished.
func (r *Record) fail(err error, log *tail) {
	if r.Status != Destroying {
		r.Status = Failed
	}
	r.Message = log.secrets.Replace(err.Error())
	if errors.Is(err, context.Canceled) {
		r.Message = "interrupted"
	}
}
