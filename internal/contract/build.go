package contract

import "strings"

// OktetoRegistry stands for the registry of OKTETO_REGISTRY_URL, and the
// namespace in it, in names of images.
const OktetoRegistry = "okteto.dev/"

// RemoteBuildContext reports whether a build's context is an address that the
// builder fetches, and not a folder: what docker build takes for one.
func RemoteBuildContext(context string) bool {
	for _, prefix := range []string{"https://", "http://", "git://", "ssh://", "git@", "github.com/"} {
		if strings.HasPrefix(context, prefix) {
			return true
		}
	}
	return false
}
