package sshd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// handshake is a connection that has not logged in yet.
type handshake struct {
	conn    net.Conn
	id      string
	start   time.Time
	timer   *time.Timer
	dropped atomic.Value // reason
}

func (h *handshake) drop(reason string) {
	h.dropped.Store(reason)
	_ = h.conn.Close()
}

// admit registers a new connection. If too many have not logged in, the oldest
// is dropped: it has had the most time, and a client in good faith is fast.
func (s *Server) admit(conn net.Conn) *handshake {
	h := &handshake{conn: conn, start: time.Now(), id: strconv.FormatUint(connCount.Add(1), 10)}
	h.timer = time.AfterFunc(s.opts.HandshakeTimeout, func() { h.drop(reasonTimeout) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		_ = conn.Close()
		return h
	}
	if len(s.waiting) >= s.opts.MaxUnauthenticated {
		s.waiting[0].drop(reasonCrowded)
		s.waiting = slices.Delete(s.waiting, 0, 1)
	}
	s.waiting = append(s.waiting, h)
	return h
}

// settle ends the handshake's limits.
func (s *Server) settle(h *handshake) {
	h.timer.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.waiting, h); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
	}
}

// serveConn is the whole life of a connection.
func (s *Server) serveConn(h *handshake) {
	log := s.opts.Log.With("conn", h.id, "peer", h.conn.RemoteAddr().String())
	defer h.conn.Close()
	defer func() {
		if r := recover(); r != nil { // one connection must not end the others
			log.Error("connection failed", "err", r)
		}
	}()
	defer s.settle(h)
	w := newWire(h.conn, s.load)
	client := w.peek(s.version)
	onlyGCM := client.preferGCM()
	conn, chans, reqs, err := ssh.NewServerConn(w, s.config(log, client))
	s.settle(h)
	if err != nil {
		reason := failureReason(err)
		if r, ok := h.dropped.Load().(string); ok {
			reason = r
		}
		s.metrics.failures.WithLabelValues(reason).Inc()
		level := slog.LevelWarn
		if reason == reasonGone && w.in.Load() == 0 {
			level = slog.LevelDebug // a probe of the port
		}
		log.Log(context.Background(), level, "login failed", "reason", reason, "after", time.Since(h.start).Round(time.Millisecond))
		return
	}
	w.joins.Store(onlyGCM)
	s.metrics.handshake.Observe(time.Since(h.start).Seconds())
	key := conn.Permissions.Extensions[extKey]
	log.Info("login", "key", key, "client", printable(string(conn.ClientVersion())))
	c := s.newConnection(h.id, key, w, conn, log)
	if c == nil {
		_ = conn.Close()
		return
	}
	c.serve(chans, reqs)
	log.Info("connection ended", "in", w.in.Load(), "out", w.out.Load(), "seconds", int(time.Since(h.start).Seconds()))
}

// extKey is the name under which the fingerprint of the login key travels.
const extKey = "okteto-key-fingerprint"

var errKeyRefused = errors.New("key is not authorized")

func (s *Server) config(log *slog.Logger, client proposal) *ssh.ServerConfig {
	conf := &ssh.ServerConfig{
		Config:                  algorithms(client.preferGCM()),
		ServerVersion:           s.version,
		PublicKeyAuthAlgorithms: userKeyAlgorithms(s.opts.AllowRSASHA1),
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			// The user's name is ignored: original clients send none, editors
			// send the laptop's.
			keys, err := s.keys.read()
			if err != nil {
				log.Error("nobody can log in", "err", err)
				return nil, errKeyRefused
			}
			perms, ok := keys[string(key.Marshal())]
			if !ok {
				return nil, errKeyRefused
			}
			perms.Extensions[extKey] = ssh.FingerprintSHA256(key)
			return perms, nil
		},
		AuthLogCallback: func(_ ssh.ConnMetadata, method string, err error) {
			if err != nil && method != "none" {
				log.Info("authentication refused", "method", method)
			}
		},
	}
	conf.AddHostKey(s.hostKey)
	if s.oldHostKey != nil && !client.knows(s.hostKey.PublicKey().Type()) {
		conf.AddHostKey(s.oldHostKey)
	}
	return conf
}

// printable cuts what a client says about itself down to what a log takes.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), 80)]
}

// versionWord is v as one word of a version line (RFC 4253 section 4.2).
func versionWord(v string) string {
	return strings.Map(func(r rune) rune {
		if r <= 0x20 || r > 0x7e || r == '-' {
			return '_'
		}
		return r
	}, v)
}
