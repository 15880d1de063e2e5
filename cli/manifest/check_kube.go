package manifest

import (
	"fmt"
	"net"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// The API server would refuse what is checked here, too, but only when `up` is
// half done, and without a line to look at.

// checkKube finds what is not allowed in the objects that the manifest's values
// become part of.
func (d *decoder) checkKube(dev *Dev) {
	field := func(key string) string { return join(dev.field, key) }
	d.checkLabels(field("selector"), dev.Selector)
	d.checkLabels(field("nodeSelector"), dev.NodeSelector)
	d.checkLabels(field("metadata.labels"), dev.Metadata.Labels)
	d.checkLabels(field("persistentVolume.labels"), dev.PersistentVolume.Labels)
	d.checkKeys(field("annotations"), "an annotation", dev.Annotations)
	d.checkKeys(field("metadata.annotations"), "an annotation", dev.Metadata.Annotations)
	d.checkKeys(field("persistentVolume.annotations"), "an annotation", dev.PersistentVolume.Annotations)
	d.checkObjectName(field("serviceAccount"), "a service account", dev.ServiceAccount)
	d.checkObjectName(field("priorityClassName"), "a priority class", dev.PriorityClass)
	d.checkObjectName(field("persistentVolume.storageClass"), "a storage class", dev.PersistentVolume.StorageClass)
	d.checkObjectName(field("container"), "a container", dev.Container)
	d.checkResources(field("resources"), dev.Resources)
	d.checkResources(field("initContainer.resources"), dev.InitContainer.Resources)
	for i, f := range dev.Forward {
		d.checkLabels(d.item(dev, "forward", i)+".labels", f.Labels)
	}
	d.checkTolerations(dev)
	d.checkSecurity(dev)
	if dev.Interface != defaultInterface && net.ParseIP(dev.Interface) == nil && !host.MatchString(dev.Interface) {
		d.fail(field("interface"), d.at(field("interface")), "such as localhost or 0.0.0.0", "%q is not an address of this machine", dev.Interface)
	}
}

// checkKeys looks at the keys of labels and annotations.
func (d *decoder) checkKeys(field, what string, m map[string]string) {
	for _, key := range sortedKeys(m) {
		if errs := validation.IsQualifiedName(strings.ToLower(key)); len(errs) > 0 {
			d.fail(join(field, key), d.at(join(field, key)), "", "%q cannot be the name of %s: %s", key, what, errs[0])
		}
	}
}

func (d *decoder) checkLabels(field string, labels map[string]string) {
	for _, key := range sortedKeys(labels) {
		where := join(field, key)
		if errs := validation.IsQualifiedName(key); len(errs) > 0 {
			d.fail(where, d.at(where), "", "%q is not a label: %s", key, errs[0])
		}
		if errs := validation.IsValidLabelValue(labels[key]); len(errs) > 0 {
			d.fail(where, d.at(where), "", "%q is not a value of a label: %s", labels[key], errs[0])
		}
	}
}

// checkObjectName looks at the name of an object that has to be there.
func (d *decoder) checkObjectName(field, what, name string) {
	if name != "" && len(validation.IsDNS1123Subdomain(name)) > 0 {
		d.fail(field, d.at(field), "lower-case letters, digits and dashes", "%q is not a name of %s", name, what)
	}
}

// checkResources looks for names that no node has, and requests above their limit.
func (d *decoder) checkResources(field string, r Resources) {
	for part, list := range map[string]ResourceList{"requests": r.Requests, "limits": r.Limits} {
		for name := range list {
			where := join(join(field, part), string(name))
			if hint, ok := knownResource(string(name)); !ok {
				d.fail(where, d.at(where), hint, "%q is not a resource", name)
			}
		}
	}
	for name, request := range r.Requests {
		if limit, ok := r.Limits[name]; ok && request.Cmp(limit) > 0 {
			where := join(field, "requests."+string(name))
			d.fail(where, d.at(where), "", "the request %s is above the limit %s", request.String(), limit.String())
		}
	}
}

// knownResource reports whether a container can ask for a resource, else what may
// have been meant. Those of device plugins have a domain in front.
func knownResource(name string) (hint string, ok bool) {
	known := []string{string(corev1.ResourceCPU), string(corev1.ResourceMemory), string(corev1.ResourceEphemeralStorage)}
	if slices.Contains(known, name) || strings.HasPrefix(name, corev1.ResourceHugePagesPrefix) {
		return "", true
	}
	if strings.Contains(name, "/") && len(validation.IsQualifiedName(name)) == 0 {
		return "", true
	}
	if hint = didYouMean(name, known); hint == "" {
		hint = strings.Join(known, ", ") + ", or one with its domain, such as nvidia.com/gpu"
	}
	return hint, false
}

func (d *decoder) checkTolerations(dev *Dev) {
	operators := []string{string(corev1.TolerationOpExists), string(corev1.TolerationOpEqual)}
	effects := []string{string(corev1.TaintEffectNoSchedule), string(corev1.TaintEffectPreferNoSchedule), string(corev1.TaintEffectNoExecute)}
	for i, t := range dev.Tolerations {
		field := fmt.Sprintf("%s[%d]", join(dev.field, "tolerations"), i)
		d.checkEnum(field+".operator", string(t.Operator), operators)
		d.checkEnum(field+".effect", string(t.Effect), effects)
	}
}

func (d *decoder) checkEnum(field, value string, allowed []string) {
	if value != "" && !slices.Contains(allowed, value) {
		d.fail(field, d.at(field), didYouMean(value, allowed), "expected %s, got %q", strings.Join(allowed, " or "), value)
	}
}

func (d *decoder) checkSecurity(dev *Dev) {
	s := dev.SecurityContext
	if s != nil && s.RunAsUser != nil && *s.RunAsUser == 0 && s.RunAsNonRoot != nil && *s.RunAsNonRoot {
		field := join(dev.field, "securityContext.runAsNonRoot")
		d.fail(field, d.at(field), "set another runAsUser, or remove runAsNonRoot", "runAsUser 0 is root")
	}
	if size := dev.PersistentVolume.Size; size != nil && size.Sign() <= 0 {
		field := join(dev.field, "persistentVolume.size")
		d.fail(field, d.at(field), "such as 5Gi", "the volume needs a size")
	}
}
