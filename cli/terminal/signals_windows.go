package terminal

import (
	"os"
	"syscall"
	"time"
)

// passedOn are the signals that go to the command in the pod.
func passedOn() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }

func signalNumber(s os.Signal) int {
	if s == os.Interrupt {
		return int(syscall.SIGINT)
	}
	return int(syscall.SIGTERM)
}

// sizePeriod is how often the console's size is looked at: it sends no signal.
const sizePeriod = 300 * time.Millisecond

// sizeChanges tells when the terminal's size may have changed.
func sizeChanges() (<-chan time.Time, func()) {
	ticker := time.NewTicker(sizePeriod)
	return ticker.C, ticker.Stop
}
