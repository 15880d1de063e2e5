package up

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"okteto/cli/manifest"
	"okteto/cli/state"
	filesync "okteto/cli/sync"
	"okteto/cli/tunnel"
	"okteto/cli/ui"
	"okteto/cli/workload"
	"okteto/internal/contract"
	"okteto/internal/identity"
)

// identityFile keeps the environment's keys on the laptop, so that the host key
// stays the same over `down` and `up`.
const identityFile = "identity.json"

// found is what the cluster had before anything was changed.
type found struct {
	workload *workload.Workload
	secret   map[string][]byte
	// services that the manifest's forwards name by their labels.
	services map[int]string
}

// look finds out, without changing anything, whether this can work at all.
func (u *up) look(ctx context.Context) (*found, error) {
	f := &found{}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return u.Target.Client.CheckNamespace(ctx) })
	group.Go(func() (err error) { f.workload, err = workload.Find(ctx, u.target); return err })
	group.Go(func() (err error) { f.secret, err = workload.SecretData(ctx, u.target); return err })
	group.Go(func() (err error) { f.services, err = u.services(ctx); return err })
	if err := group.Wait(); err != nil {
		// What makes the others fail comes first.
		if nsErr := u.Target.Client.CheckNamespace(context.WithoutCancel(ctx)); nsErr != nil {
			return nil, nsErr
		}
		return nil, u.Target.Explain(err, "look up the workload")
	}
	return f, nil
}

// keys are how the laptop and the pod know each other.
type keys struct {
	environment identity.Environment
	user        identity.UserKey
	credentials tunnel.Credentials
}

// prepare makes the keys and everything that the pod gets as files.
func (u *up) prepare(ctx context.Context, f *found) error {
	environment, err := u.identity(f.secret)
	if err != nil {
		return err
	}
	hostKey, err := environment.HostPublicKey()
	if err != nil {
		return err
	}
	user, err := identity.LoadOrCreateUserKey(u.env.Home)
	if err != nil {
		return &ui.Problem{
			Summary: "cannot use the SSH key pair in " + u.env.Home, Cause: err,
			Hint: "move the broken key away, and a new pair is made",
		}
	}
	u.keys = keys{
		environment: environment, user: user,
		credentials: tunnel.Credentials{Signer: user.Signer, HostKey: hostKey},
	}
	if err := Ignores(u.target.Dev.Sync.Folders, u.Report, u.Ask); err != nil {
		return err
	}
	u.sync = newSyncKeeper(u, folders(u.target.Dev))
	return ctx.Err()
}

// folders are the manifest's, as the synchronization names them.
func folders(dev *manifest.Dev) []filesync.Folder {
	var all []filesync.Folder
	for i, folder := range dev.Sync.Folders {
		all = append(all, filesync.Folder{
			ID:        fmt.Sprintf("%s%d", contract.FolderIDPrefix, i+1),
			LocalPath: folder.LocalPath, RemotePath: folder.RemotePath,
		})
	}
	return all
}

// identity returns the environment's keys: the cluster's, else those that this
// laptop remembers, else new ones.
func (u *up) identity(secret map[string][]byte) (identity.Environment, error) {
	file := u.env.Path(identityFile)
	environment, err := identity.FromSecret(secret)
	if err == nil {
		return environment, u.remember(file, environment)
	}
	if environment, err = LoadIdentity(u.env); err == nil {
		return environment, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		aside, err := state.SetAside(file)
		if err != nil {
			return environment, err
		}
		u.Report.Warn("%s cannot be used and was set aside as %s; new keys are made", identityFile, filepath.Base(aside))
	}
	if environment, err = identity.NewEnvironment(); err != nil {
		return environment, err
	}
	return environment, u.remember(file, environment)
}

func (u *up) remember(file string, e identity.Environment) error {
	content, err := json.Marshal(e.SecretData())
	if err != nil {
		return fmt.Errorf("encode identity: %w", err)
	}
	return state.WriteFile(file, content)
}

// LoadIdentity returns the keys that this laptop remembers of an environment.
func LoadIdentity(e *state.Env) (identity.Environment, error) {
	content, err := os.ReadFile(e.Path(identityFile))
	if err != nil {
		return identity.Environment{}, fmt.Errorf("read identity: %w", err)
	}
	var data map[string][]byte
	if err := json.Unmarshal(content, &data); err != nil {
		return identity.Environment{}, fmt.Errorf("parse identity: %w", err)
	}
	return identity.FromSecret(data)
}

// SecretData is the content of an environment's Secret: its keys, the public key
// that may log in, the synchronization's configuration, ignore patterns and the
// user's secret files.
func SecretData(dev *manifest.Dev, e identity.Environment, authorizedKey []byte) (map[string][]byte, error) {
	data := e.SecretData()
	data[contract.SecretItemPrefix+path.Base(contract.AuthorizedKeys)] = authorizedKey
	files, err := filesync.PodFiles(filesync.PodOptions{
		Identity: e, Folders: folders(dev), Compression: dev.Sync.Compression,
		RescanInterval: time.Duration(dev.Sync.RescanInterval) * time.Second,
	})
	if err != nil {
		return nil, &ui.Problem{Summary: "the folders to synchronize cannot be used", Cause: err, Hint: "correct sync in the manifest"}
	}
	for name, content := range files {
		data[name] = content
	}
	for i, folder := range dev.Sync.Folders {
		// Without patterns the file is there all the same: it marks the folder
		// in the pod, and whether there are any must not change the pod.
		content, err := os.ReadFile(filepath.Join(folder.LocalPath, contract.IgnoreFile))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read ignore patterns: %w", err)
		}
		data[fmt.Sprintf("%s%s-%d", contract.SecretItemPrefix, contract.IgnoreFile, i+1)] = content
	}
	for _, secret := range dev.Secrets {
		content, err := os.ReadFile(secret.LocalPath)
		if err != nil {
			return nil, fmt.Errorf("read secret file: %w", err)
		}
		data[contract.SecretItemPrefix+path.Base(secret.RemotePath)] = content
	}
	return data, nil
}

func initImage() string {
	if image := os.Getenv(contract.EnvCLIImage); image != "" {
		return image
	}
	return os.Getenv(contract.EnvBin)
}

// applyFlags puts what the flags say in the place of what the manifest does.
func (u *up) applyFlags() {
	t, o := u.Target, u.Options
	for _, v := range o.Environment {
		replaced := false
		for i := range t.Dev.Environment {
			if t.Dev.Environment[i].Name == v.Name {
				t.Dev.Environment[i], replaced = v, true
			}
		}
		if !replaced {
			t.Dev.Environment = append(t.Dev.Environment, v)
		}
	}
	if o.RemotePort != 0 {
		t.Dev.Remote = o.RemotePort
	}
}
