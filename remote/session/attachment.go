package session

import (
	"sync"

	"golang.org/x/crypto/ssh"
)

// attachment is the connected client of a terminal. Its output goes through a
// queue, so that a client whose connection is stalled can be replaced.
type attachment struct {
	ch    ssh.Channel
	queue chan []byte
	// over is closed when the terminal has no more to say to this client.
	over chan struct{}
	once sync.Once
}

func newAttachment(ch ssh.Channel) *attachment {
	return &attachment{ch: ch, queue: make(chan []byte, 4), over: make(chan struct{})}
}

func (a *attachment) end() { a.once.Do(func() { close(a.over) }) }

// send queues output; it waits for a slow client, but not for a replaced one.
// A nil p marks the end of all output.
func (a *attachment) send(p []byte) {
	select {
	case a.queue <- p:
	case <-a.over:
	}
}

// write carries the queue to the client.
func (a *attachment) write(count func(int)) {
	defer a.end()
	for {
		select {
		case p := <-a.queue:
			if p == nil {
				return
			}
			n, err := a.ch.Write(p)
			count(n)
			if err != nil {
				return
			}
		case <-a.over:
			return
		}
	}
}
