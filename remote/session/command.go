package session

import (
	"os/exec"
	"strings"

	"github.com/kballard/go-shellquote"
)

// command decides what to run: the shell, with the client's text unchanged, or
// our own scp when the image has none.
func (x *exchange) command(isShell bool, text string) (*exec.Cmd, shell, account, error) {
	acct := lookupAccount()
	sh, err := x.srv.shells.find(acct)
	if !isShell {
		if args, ok := x.srv.scpCommand(text); ok {
			return &exec.Cmd{Path: x.srv.opts.Self, Args: args}, sh, acct, nil
		}
	}
	if err != nil {
		return nil, shell{}, acct, err
	}
	argv := sh.command(text)
	if isShell {
		argv = sh.interactive(x.srv.opts.LoginShell)
	}
	return &exec.Cmd{Path: sh.path, Args: argv}, sh, acct, nil
}

// scpCommand recognizes the remote half of scp (scp -t or -f with plain
// arguments) when the image has no scp, and returns the arguments with which
// this program does the same. Anything with shell syntax is left to the shell.
func (s *Server) scpCommand(text string) ([]string, bool) {
	if s.opts.Self == "" || !strings.HasPrefix(text, "scp ") || shellSyntax(text) {
		return nil, false
	}
	if _, err := exec.LookPath("scp"); err == nil {
		return nil, false
	}
	args, err := shellquote.Split(text)
	if err != nil {
		return nil, false
	}
	return args, true
}

// shellSyntax reports whether a command has more in it than words, quotes and the
// patterns for names of files that scp knows itself.
func shellSyntax(text string) bool {
	quote := rune(0)
	escaped := false
	for _, r := range text {
		switch {
		case escaped:
			escaped = false
		case quote == '\'':
			if r == quote {
				quote = 0
			}
		case r == '\\':
			escaped = true
		case r == '$', r == '`':
			return true
		case quote == '"':
			if r == quote {
				quote = 0
			}
		case r == '\'', r == '"':
			quote = r
		case strings.ContainsRune(";|&<>(){}\n", r):
			return true
		}
	}
	return false
}
