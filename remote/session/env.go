package session

import (
	"net"
	"slices"
	"strings"

	"okteto/internal/contract"
)

// DefaultAcceptEnv are the variables a client may set: language, colours, the
// terminal's program. What changes which code runs (PATH, LD_*, BASH_ENV, …)
// must stay out.
func DefaultAcceptEnv() []string {
	return []string{
		"LANG", "LANGUAGE", "LC_*", "TZ", "COLORTERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION",
		"NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE",
	}
}

// neverAccept wins over the configured list: these variables change which code
// a shell or the dynamic linker runs, or are ours to set.
var neverAccept = []string{
	"PATH", "LD_*", "DYLD_*", "GCONV_PATH", "GLIBC_TUNABLES", "BASH_ENV", "BASH_FUNC_*", "ENV",
	"SHELLOPTS", "BASHOPTS", "IFS", "PS4", "PROMPT_COMMAND", "HOME", "USER", "LOGNAME", "SHELL", "SSH_*",
}

func acceptEnv(accept []string, name, value string) bool {
	if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
		return false
	}
	return matchEnv(accept, name) && !matchEnv(neverAccept, name)
}

func matchEnv(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if prefix, ok := strings.CutSuffix(p, "*"); ok {
			return strings.HasPrefix(name, prefix)
		}
		return p == name
	})
}

// environment builds what the session's program sees: the pod's environment,
// who and where it is, and the client's variables last.
func (x *exchange) environment(acct account, sh shell, tty string) []string {
	env := newEnvSet(x.srv.opts.Environ)
	for _, name := range []string{"SSH_AUTH_SOCK", "SSH_TTY", "SSH_CONNECTION", "SSH_CLIENT"} {
		env.unset(name)
	}
	env.setDefault("HOME", firstOf(acct.home, "/"))
	env.setDefault("USER", firstOf(acct.name, "okteto"))
	env.setDefault("LOGNAME", env.get("USER"))
	env.setDefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	env.set("SHELL", sh.path)
	if sh.appendPath != "" {
		env.set("PATH", env.get("PATH")+":"+sh.appendPath)
	}
	if host, port, local, lport, ok := endpoints(x.client.Remote, x.client.Local); ok {
		env.set("SSH_CLIENT", host+" "+port+" "+lport)
		env.set("SSH_CONNECTION", host+" "+port+" "+local+" "+lport)
	}
	if tty != "" {
		env.set("SSH_TTY", tty)
		env.set("TERM", firstOf(x.pty.term, "dumb"))
	}
	if x.agentSock != "" {
		env.set("SSH_AUTH_SOCK", x.agentSock)
	}
	env.unset(contract.EnvTerminal)
	if x.persistent {
		// By this mark the cleaner of the dev container spares what runs here.
		env.set(contract.EnvTerminal, x.terminal)
	}
	for _, kv := range x.env {
		name, value, _ := strings.Cut(kv, "=")
		env.set(name, value)
	}
	return env.list()
}

func endpoints(remote, local net.Addr) (host, port, lhost, lport string, ok bool) {
	if remote == nil || local == nil {
		return "", "", "", "", false
	}
	host, port, err := net.SplitHostPort(remote.String())
	if err != nil {
		return "", "", "", "", false
	}
	lhost, lport, err = net.SplitHostPort(local.String())
	return host, port, lhost, lport, err == nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// envSet is an environment in order, one value per name.
type envSet struct {
	names  []string
	values map[string]string
}

func newEnvSet(environ []string) *envSet {
	e := &envSet{values: make(map[string]string, len(environ)+16)}
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok && name != "" {
			e.set(name, value)
		}
	}
	return e
}

func (e *envSet) set(name, value string) {
	if _, ok := e.values[name]; !ok {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

func (e *envSet) setDefault(name, value string) {
	if e.values[name] == "" {
		e.set(name, value)
	}
}

func (e *envSet) get(name string) string { return e.values[name] }

func (e *envSet) unset(name string) {
	if _, ok := e.values[name]; ok {
		delete(e.values, name)
		e.names = slices.DeleteFunc(e.names, func(n string) bool { return n == name })
	}
}

func (e *envSet) list() []string {
	out := make([]string, 0, len(e.names))
	for _, n := range e.names {
		out = append(out, n+"="+e.values[n])
	}
	return out
}
