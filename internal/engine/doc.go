// Package engine keeps folders equal on two devices. It is Syncthing's library,
// put together so that a save crosses in milliseconds and nothing is ever lost,
// and it is the same at both ends: the laptop's daemon and the pod's.
//
// What it takes from Syncthing 1.30 unchanged: the database, the scanner, the
// puller, conflict and version rules, the block exchange protocol and the REST
// interface. What it does itself, and why:
//
//   - Watching (watch*.go, intake.go). Syncthing's watcher aggregates for a
//     second or more, and below that scans files that are still being written.
//     Ours knows when a file was closed, and scans exactly that path.
//   - Connections (link.go). One peer at one known address needs no discovery,
//     relays, NAT traversal or five second dial loop. Nothing listens but the
//     one address given.
//   - Index sending (pump.go). Syncthing sleeps 250 ms after each index message;
//     the pump sends what the database has at once, in the same sequence.
//   - Guarding (guard.go). A root that was emptied, swapped or unmounted stops
//     its folder instead of deleting the other side.
//
// A process may run several engines, as tests do; only one of them may serve
// the REST interface, since Syncthing keeps its file locations in globals.
package engine
