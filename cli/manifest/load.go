package manifest

// Load reads and checks the manifest at path, or, if path is empty, the first
// of okteto.yml, okteto.yaml, .okteto/okteto.yml and .okteto/okteto.yaml in the
// working directory. A path that is a folder is searched the same way.
// Relative local paths are relative to the folder of the manifest, or to the
// parent of a .okteto folder. It touches nothing but the manifest, the .env
// file beside it and the env files it names: whether local folders and secret
// files exist is CheckLocal's to say.
//
// The error is ErrNotFound, *Error with every issue found, or that of reading.
func Load(path string) (*Manifest, error) {
	return load(path)
}
