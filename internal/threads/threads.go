// Package threads keeps threads in store for when the system gives no more: Go ends
// a program that needs another thread and cannot have it ("failed to create new OS
// thread"). In a container whose processes are limited and used up, by a program of
// the user that starts too many, the agents live on what they have.
package threads

import (
	"runtime"
	"sync"
)

// Reserve makes the process have at least n threads. The runtime keeps idle ones,
// and takes them before it makes others.
func Reserve(n int) {
	var held, done sync.WaitGroup
	release := make(chan struct{})
	held.Add(n)
	for range n {
		done.Go(func() {
			runtime.LockOSThread()
			// Unlocked again, the thread is kept when the goroutine ends.
			defer runtime.UnlockOSThread()
			held.Done()
			<-release
		})
	}
	held.Wait()
	close(release)
	done.Wait()
}
