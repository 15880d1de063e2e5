// Package contract names everything that the parts of the system, and the
// original okteto CLI and agents, must agree on: paths in the pod, ports, file
// names on the laptop, labels, annotations, environment variables, SSH request
// names. Each constant says where the fact comes from.
//
// Three eras of the original are told apart, because developers still use all
// of them:
//
//   - S: CLI 1.9.0 to 1.9.2 with okteto/bin:1.2.8
//   - M: CLI 1.13 with okteto/bin:1.3.2 and 1.3.3
//   - H: CLI 3.x, sources at okteto/okteto commit 965feb404
//
// Sources in the comments are paths in github.com/okteto/okteto at that commit
// unless they say otherwise. "Ours" marks what the original has no word for.
package contract

// Version of the build, stamped by the linker:
//
//	-ldflags "-X okteto/internal/contract.Version=v1.2.3"
var Version = "0.0.0-dev"
