package workload

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const (
	// psaEnforceLabel of a namespace and its strictest level (KEP-2579).
	psaEnforceLabel = "pod-security.kubernetes.io/enforce"
	psaRestricted   = "restricted"
	// OpenShift assigns ids from these ranges, and refuses others
	// (https://docs.openshift.com: Managing security context constraints).
	openShiftUIDs   = "openshift.io/sa.scc.uid-range"
	openShiftGroups = "openshift.io/sa.scc.supplemental-groups"
	// defaultGroup owns the volume of a pod whose user is known only to be
	// another than root: any group will do, as the kubelet adds it to the
	// container's.
	defaultGroup = 1000
)

// setSecurity applies the manifest's settings and the defaults. What neither
// names stays as it is in the original.
func (t *translation) setSecurity() error {
	if err := t.applySecurity(); err != nil {
		return err
	}
	t.defaultRoot()
	t.defaultFSGroup()
	return nil
}

func (t *translation) applySecurity() error {
	wanted := t.dev.SecurityContext
	if wanted == nil {
		return nil
	}
	if wanted.RunAsUser != nil && *wanted.RunAsUser == 0 && wanted.RunAsNonRoot == nil && t.nonRoot() {
		return fmt.Errorf("%s demands runAsNonRoot, but the manifest sets runAsUser: 0; set another user, or securityContext.runAsNonRoot: false to overrule it", t.w)
	}
	c := t.securityContext()
	set(&c.RunAsUser, wanted.RunAsUser)
	set(&c.RunAsGroup, wanted.RunAsGroup)
	set(&c.RunAsNonRoot, wanted.RunAsNonRoot)
	set(&c.AllowPrivilegeEscalation, wanted.AllowPrivilegeEscalation)
	set(&c.ReadOnlyRootFilesystem, wanted.ReadOnlyRootFilesystem)
	set(&c.SeccompProfile, wanted.SeccompProfile)
	if wanted.FSGroup != nil {
		t.podSecurityContext().FSGroup = wanted.FSGroup
	}
	if caps := wanted.Capabilities; caps != nil {
		if c.Capabilities == nil {
			c.Capabilities = &corev1.Capabilities{}
		}
		c.Capabilities.Add, c.Capabilities.Drop = move(c.Capabilities.Add, c.Capabilities.Drop, caps.Add)
		c.Capabilities.Drop, c.Capabilities.Add = move(c.Capabilities.Drop, c.Capabilities.Add, caps.Drop)
	}
	return nil
}

// move adds names to one list and takes them out of the other.
func move(to, from []corev1.Capability, names []corev1.Capability) (newTo, newFrom []corev1.Capability) {
	for _, name := range names {
		if !slices.Contains(to, name) {
			to = append(to, name)
		}
		from = slices.DeleteFunc(from, func(c corev1.Capability) bool { return c == name })
	}
	return to, from
}

func set[T any](target **T, value *T) {
	if value != nil {
		*target = value
	}
}

func (t *translation) securityContext() *corev1.SecurityContext {
	if t.container.SecurityContext == nil {
		t.container.SecurityContext = &corev1.SecurityContext{}
	}
	return t.container.SecurityContext
}

func (t *translation) podSecurityContext() *corev1.PodSecurityContext {
	if t.template.Spec.SecurityContext == nil {
		t.template.Spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	return t.template.Spec.SecurityContext
}

// defaultRoot makes the container run as root when it has a volume, as the
// original does, but only when nothing says otherwise: neither the manifest
// nor the workload names a user or forbids root, nor does the namespace.
func (t *translation) defaultRoot() {
	if !t.dev.VolumeEnabled() || t.user() != nil || t.nonRoot() || t.namespaceForbidsRoot() {
		return
	}
	if s := t.dev.SecurityContext; s != nil && s.RunAsNonRoot != nil && *s.RunAsNonRoot {
		return
	}
	c := t.securityContext()
	c.RunAsUser = new(int64)
	if c.RunAsGroup == nil && (t.template.Spec.SecurityContext == nil || t.template.Spec.SecurityContext.RunAsGroup == nil) {
		c.RunAsGroup = new(int64)
	}
}

// defaultFSGroup lets a user other than root write to the environment's
// volume. It applies to every volume of the pod, so it is left alone when the
// workload has claims of its own, whose files would change their group.
func (t *translation) defaultFSGroup() {
	if !t.dev.VolumeEnabled() || t.fsGroup() != nil || !t.notRoot() {
		return
	}
	if hasClaims(t.w) {
		t.warn("the container does not run as root and the pod has no fsGroup: if the environment's volume cannot be written to, set securityContext.fsGroup, or persistentVolume.enabled: false")
		return
	}
	group := int64(defaultGroup)
	if start, ok := t.openShiftRange(openShiftGroups); ok {
		group = start
	} else if gid := t.group(); gid != nil && *gid != 0 {
		group = *gid
	} else if uid := t.user(); uid != nil {
		group = *uid
	}
	t.podSecurityContext().FSGroup = &group
}

func (t *translation) openShiftRange(annotation string) (int64, bool) {
	if t.w.NamespaceObject == nil {
		return 0, false
	}
	start, _, _ := strings.Cut(t.w.NamespaceObject.Annotations[annotation], "/")
	id, err := strconv.ParseInt(start, 10, 64)
	return id, err == nil
}

func (t *translation) namespaceForbidsRoot() bool {
	if t.w.NamespaceObject == nil {
		return false
	}
	if _, ok := t.openShiftRange(openShiftUIDs); ok {
		return true
	}
	return t.w.NamespaceObject.Labels[psaEnforceLabel] == psaRestricted
}

// user is the container's user id, nil when only the image knows.
func (t *translation) user() *int64 {
	if c := t.container.SecurityContext; c != nil && c.RunAsUser != nil {
		return c.RunAsUser
	}
	if p := t.template.Spec.SecurityContext; p != nil {
		return p.RunAsUser
	}
	return nil
}

func (t *translation) group() *int64 {
	if c := t.container.SecurityContext; c != nil && c.RunAsGroup != nil {
		return c.RunAsGroup
	}
	if p := t.template.Spec.SecurityContext; p != nil {
		return p.RunAsGroup
	}
	return nil
}

func (t *translation) fsGroup() *int64 {
	if p := t.template.Spec.SecurityContext; p != nil {
		return p.FSGroup
	}
	return nil
}

// nonRoot reports whether the container or its pod demands another user than
// root.
func (t *translation) nonRoot() bool {
	if c := t.container.SecurityContext; c != nil && c.RunAsNonRoot != nil {
		return *c.RunAsNonRoot
	}
	p := t.template.Spec.SecurityContext
	return p != nil && p.RunAsNonRoot != nil && *p.RunAsNonRoot
}

// notRoot reports whether it is known that the container is not root.
func (t *translation) notRoot() bool {
	if uid := t.user(); uid != nil {
		return *uid != 0
	}
	return t.nonRoot() || t.namespaceForbidsRoot()
}

func (t *translation) readOnlyRoot() bool {
	c := t.container.SecurityContext
	return c != nil && c.ReadOnlyRootFilesystem != nil && *c.ReadOnlyRootFilesystem
}

// secretMode is the least that the container's user can read of a volume whose
// files root owns.
func (t *translation) secretMode() int32 {
	uid := t.user()
	switch {
	case uid != nil && *uid == 0:
		return 0o400
	case t.fsGroup() != nil:
		return 0o440
	}
	return 0o444
}

// hasClaims reports whether a workload mounts claims of its own.
func hasClaims(w *Workload) bool {
	if w.StatefulSet != nil && len(w.StatefulSet.Spec.VolumeClaimTemplates) > 0 {
		return true
	}
	return slices.ContainsFunc(w.Template().Spec.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil && !v.PersistentVolumeClaim.ReadOnly
	})
}
