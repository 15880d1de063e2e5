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
	s.config = proxy.Options{Config: o.Client.Config, Name: objectName(name), Namespace: o.Client.Namespace, Foreign: s.foreign}
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

// foreign records another namespace that something is created in, before it is.
func (s *session) foreign(ctx context.Context, namespace string) error {
	return s.run.save(ctx, func(r *Record) {
		if !slices.Contains(r.namespaces, namespace) {
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
	if cause := context.Cause(ctx); err != nil && cause != nil {
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
