package workload

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/cli/manifest"
	"okteto/internal/contract"
)

// maxSecretSize is what the API server takes (core/v1 MaxSecretSize).
const maxSecretSize = 1 << 20

// copied is a file of the Secret that start.sh copies to its place.
type copied struct {
	key         string // in the Secret
	file        string // in contract.SecretDir
	destination string
	mode        *int32 // nil is the least that works
	ignore      bool   // a file of ignore patterns
	mounted     bool   // in its place, not copied there
}

// UserSecrets reads the manifest's secret files, keyed as Options.SecretData
// wants them.
func UserSecrets(dev *manifest.Dev) (map[string][]byte, error) {
	data := map[string][]byte{}
	for _, s := range dev.Secrets {
		content, err := os.ReadFile(s.LocalPath)
		if err != nil {
			return nil, fmt.Errorf("read secret: %w", err)
		}
		data[contract.SecretItemPrefix+path.Base(s.RemotePath)] = content
	}
	return data, nil
}

// setSecrets mounts what the pod needs of the Secret, and sets the container's
// command, whose arguments say where each file goes.
func (t *translation) setSecrets() error {
	size := 0
	for _, value := range t.o.SecretData {
		size += len(value)
	}
	if size > maxSecretSize {
		return fmt.Errorf("the secrets of %s have %d bytes together, more than the %d that a Secret holds: put large files on a volume", t.dev.Name, size, maxSecretSize)
	}
	mode := t.secretMode()
	var sync []corev1.KeyToPath
	for _, key := range syncFiles() {
		if _, ok := t.o.SecretData[key]; ok {
			sync = append(sync, corev1.KeyToPath{Key: key, Path: key, Mode: &mode})
		} else if key != contract.EngineFile {
			return fmt.Errorf("the environment's Secret has no %s", key)
		}
	}
	files, err := t.copiedFiles()
	if err != nil {
		return err
	}
	var items []corev1.KeyToPath
	var inPlace []corev1.VolumeMount
	args := t.startFlags()
	for _, f := range files {
		itemMode := mode
		if f.mode != nil {
			// Never less than the container's user can read.
			itemMode = *f.mode | mode&^0o400
		}
		items = append(items, corev1.KeyToPath{Key: f.key, Path: f.file, Mode: &itemMode})
		if f.mounted {
			inPlace = append(inPlace, corev1.VolumeMount{Name: contract.DevSecretVolume, MountPath: f.destination, SubPath: f.file, ReadOnly: true})
			continue
		}
		args = append(args, "-s", f.file+":"+f.destination)
	}
	t.container.Command, t.container.Args = []string{contract.StartScript}, args
	if err := t.mountSecret(contract.SyncSecretVolume, contract.SyncthingSecretDir+"/", sync); err != nil {
		return err
	}
	if err := t.mountSecret(contract.DevSecretVolume, contract.SecretDir+"/", items); err != nil {
		return err
	}
	for _, m := range inPlace {
		if err := t.mount(m); err != nil {
			return err
		}
	}
	return nil
}

func (t *translation) mountSecret(volume, at string, items []corev1.KeyToPath) error {
	t.template.Spec.Volumes = append(t.template.Spec.Volumes, corev1.Volume{
		Name: volume,
		VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: contract.SecretPrefix + t.dev.Name, Items: items,
		}},
	})
	return t.mount(corev1.VolumeMount{Name: volume, MountPath: at, ReadOnly: true})
}

func syncFiles() []string {
	return []string{contract.SyncthingConfigFile, contract.SyncthingCertFile, contract.SyncthingKeyFile, contract.EngineFile}
}

// resetFlag makes start.sh drop the synchronization database.
const resetFlag = "-e"

// startFlags of start.sh before its files. Without a persistent volume the
// synchronization database may outlive the files it describes (a restarted
// container), and must be made anew: it would report them as deleted.
func (t *translation) startFlags() []string {
	flags := []string{"-r"}
	if t.o.Reset || !t.dev.VolumeEnabled() {
		flags = append(flags, resetFlag)
	}
	if t.dev.Sync.Verbose {
		flags = append(flags, "-v")
	}
	return flags
}

// copiedFiles lists the files in the contract's order: authorized keys, user
// secrets, ignore files; our host key comes second.
func (t *translation) copiedFiles() ([]copied, error) {
	authorized := path.Base(contract.AuthorizedKeys)
	files := []copied{{key: contract.SecretItemPrefix + authorized, file: authorized, destination: contract.AuthorizedKeys}}
	if _, ok := t.o.SecretData[contract.SecretItemPrefix+contract.HostKeyName]; ok {
		files = append(files, copied{key: contract.SecretItemPrefix + contract.HostKeyName, file: contract.HostKeyName, destination: contract.HostKeyFile})
	}
	// start.sh copies as the container's user: what that one may not write is
	// mounted in its place.
	mounted := t.readOnlyRoot() || t.notRoot()
	for _, s := range t.dev.Secrets {
		base := path.Base(s.RemotePath)
		files = append(files, copied{key: contract.SecretItemPrefix + base, file: base, destination: s.RemotePath, mode: s.Mode, mounted: mounted})
	}
	for i, f := range t.dev.Sync.Folders {
		file := fmt.Sprintf("%s-%d", contract.IgnoreFile, i+1)
		if _, ok := t.o.SecretData[contract.SecretItemPrefix+file]; ok {
			files = append(files, copied{
				key: contract.SecretItemPrefix + file, file: file,
				destination: path.Join(f.RemotePath, contract.IgnoreFile), ignore: true,
			})
		}
	}
	for _, f := range files {
		if _, ok := t.o.SecretData[f.key]; !ok {
			return nil, fmt.Errorf("the environment's Secret has no %s (for %s)", f.key, f.destination)
		}
		if strings.Contains(f.destination, ":") {
			return nil, fmt.Errorf("%s cannot be the path of a secret: it has a colon", f.destination)
		}
	}
	return files, nil
}

// secretDigest covers what the pod reads only when it starts. Ignore files are
// left out: they reach a running pod by themselves, and a new pod is a high
// price for an edit of one.
func (t *translation) secretDigest() string {
	sum := sha256.New()
	write := func(content []byte) {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(content)))
		sum.Write(length[:])
		sum.Write(content)
	}
	for _, key := range syncFiles() {
		write([]byte(key))
		write(t.o.SecretData[key])
	}
	files, err := t.copiedFiles()
	if err != nil {
		return "" // setSecrets has reported it
	}
	for _, f := range files {
		if !f.ignore {
			write([]byte(f.key))
			write(t.o.SecretData[f.key])
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// secret is the environment's one Secret.
func (t *translation) secret() *corev1.Secret {
	secret := &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Name: contract.SecretPrefix + t.dev.Name, Namespace: t.namespace,
			Labels: map[string]string{contract.DevLabel: "true"},
		},
		Type: corev1.SecretTypeOpaque,
		Data: map[string][]byte{},
	}
	for k, v := range t.o.SecretData {
		secret.Data[k] = v
	}
	if !t.w.Sandbox {
		secret.OwnerReferences = []metav1.OwnerReference{ownerReference(t.w)}
	}
	return secret
}

func secretData(ctx context.Context, t Target) (map[string][]byte, error) {
	name := contract.SecretPrefix + t.Dev.Name
	secret, err := t.Client.CoreV1().Secrets(t.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read secret %s: %w", name, err)
	}
	if secret.Labels[contract.DevLabel] == "" {
		return nil, fmt.Errorf("%w: secret %s in namespace %s is not okteto's; rename the environment", ErrHeld, name, t.Namespace)
	}
	return secret.Data, nil
}
