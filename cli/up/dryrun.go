package up

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"okteto/cli/workload"
	"okteto/internal/identity"
)

// dryRun prints the objects that would be applied, with the values of the Secret
// left out. The keys in it would be others each time.
func (u *up) dryRun(f *found) error {
	keys, err := identity.FromSecret(f.secret)
	if err != nil {
		if keys, err = identity.NewEnvironment(); err != nil {
			return err
		}
	}
	data, err := SecretData(u.target.Dev, keys, nil)
	if err != nil {
		return err
	}
	twin, err := workload.Translate(f.workload, u.target.Dev, workload.Options{InitImage: initImage(), SecretData: data})
	if err != nil {
		return u.Target.Explain(err, "translate the workload")
	}
	for _, object := range twin.Objects() {
		if secret, ok := object.(*corev1.Secret); ok {
			secret = secret.DeepCopy()
			for name := range secret.Data {
				secret.Data[name] = nil
			}
			object = secret
		}
		if kind, err := u.target.Client.Kind(object); err == nil {
			object.GetObjectKind().SetGroupVersionKind(kind)
		}
		text, err := yaml.Marshal(object)
		if err != nil {
			return fmt.Errorf("print what would be applied: %w", err)
		}
		if _, err := fmt.Fprintf(u.Streams.Out, "---\n%s", text); err != nil {
			return err
		}
	}
	if n := f.workload.Replicas(); n > 0 {
		_, err = fmt.Fprintf(u.Streams.Out, "# and %s would be scaled from %d replicas to 0\n", f.workload, n)
	}
	return err
}
