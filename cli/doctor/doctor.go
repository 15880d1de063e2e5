// Package doctor looks for what keeps okteto from working, on the laptop, in the
// cluster and between them, and says what to do about each thing it finds. It
// changes nothing.
package doctor

import (
	"context"
	"errors"
	"time"

	"okteto/cli/attach"
	"okteto/cli/state"
	"okteto/cli/target"
	"okteto/cli/ui"
	"okteto/cli/workload"
)

// Result of a check.
type Result string

// Results. A warning is something that works, but not as well as it could.
const (
	OK      Result = "ok"
	Warning Result = "warning"
	Failure Result = "failure"
	// Skipped: it could not be looked at, for the reason in Detail.
	Skipped Result = "skipped"
)

// Check is one thing that was looked at.
type Check struct {
	Name   string `json:"name"`
	Result Result `json:"result"`
	// Detail is what was found, Fix what to do about it.
	Detail string `json:"detail,omitempty"`
	Fix    string `json:"fix,omitempty"`
}

// checkLimit is how long one check may take.
const checkLimit = 15 * time.Second

// patient is what the checks look at.
type patient struct {
	*target.Target
	env      *state.Env
	original *workload.Workload
	pod      *attach.Pod
	// reachable is set when the cluster has answered.
	reachable bool
}

// Run makes all checks and tells report each as it is done.
func Run(ctx context.Context, t *target.Target, report func(Check)) error {
	env, err := t.State()
	if err != nil {
		return err
	}
	p := &patient{Target: t, env: env}
	for _, c := range []struct {
		name    string
		cluster bool // needs a cluster that answers
		look    func(context.Context) Check
	}{
		{"folders", false, p.folders},
		{"file watches", false, p.watches},
		{"disk", false, p.disk},
		{"processes", false, p.processes},
		{"ports", false, p.ports},
		{"ssh configuration", false, p.sshConfig},
		{"cluster", false, p.cluster},
		{"clock", true, p.clock},
		{"namespace", true, p.namespace},
		{"permissions", true, p.permissions},
		{"workload", true, p.workload},
		{"admission", true, p.admission},
		{"nodes", true, p.nodes},
		{"development pod", true, p.devPod},
		{"images", true, p.images},
		{"tunnel", true, p.tunnel},
	} {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		check := Check{Result: Skipped, Detail: "the cluster does not answer"}
		if !c.cluster || p.reachable {
			limited, cancel := context.WithTimeout(ctx, checkLimit)
			check = c.look(limited)
			cancel()
		}
		check.Name = c.name
		report(check)
	}
	return nil
}

func ok(detail string) Check { return Check{Result: OK, Detail: detail} }

func skipped(detail string) Check { return Check{Result: Skipped, Detail: detail} }

func warning(detail, fix string) Check { return Check{Result: Warning, Detail: detail, Fix: fix} }

func failure(detail, fix string) Check { return Check{Result: Failure, Detail: detail, Fix: fix} }

// failed makes a failure of an error, with the hint of a Problem as its fix.
func failed(err error) Check {
	var problem *ui.Problem
	if errors.As(err, &problem) {
		return failure(problem.Error(), problem.Hint)
	}
	return failure(err.Error(), "")
}
