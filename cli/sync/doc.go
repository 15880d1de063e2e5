// Package sync controls the laptop's end of the synchronization: a daemon that
// is a child of `okteto up` and lives as long as it.
//
// The daemon is the okteto binary itself, run as the hidden subcommand
// `okteto syncthing`. It keeps its state in the environment's folder
// (~/.okteto/<namespace>/<name>), listens on loopback only, and writes the files
// that the original CLI and its tools expect there: syncthing.pid and
// syncthing.info. One daemon owns a folder, by a lock; a left-over one is
// recognised by the process it says it is and ended.
package sync
