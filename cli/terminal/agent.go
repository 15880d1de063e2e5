package terminal

import (
	"net"
	"os"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"okteto/cli/tunnel"
)

// forwardAgent lets the pod use the laptop's SSH agent. Without it the command
// runs all the same.
func (r *run) forwardAgent(client *tunnel.Client, session *ssh.Session) {
	err := client.Once("auth-agent@openssh.com", func() error { return agent.ForwardToRemote(client.Client, r.AgentSocket) })
	if err == nil {
		err = agent.RequestAgentForwarding(session)
	}
	if err != nil {
		r.Log.Warn("cannot forward the SSH agent", "err", err)
	}
}

// AgentSocket returns the laptop's SSH agent, or "" if there is none to be
// reached.
func AgentSocket() string {
	path := os.Getenv("SSH_AUTH_SOCK")
	if path == "" {
		return ""
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		return ""
	}
	_ = conn.Close()
	return path
}
