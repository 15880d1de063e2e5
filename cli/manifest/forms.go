package manifest

import (
	"fmt"
	"path"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// This file holds the values that can be written in several forms.

// decodeNode reads a list, or a string: one with spaces is given to a shell,
// since that is what people mean by it (pkg/model/serializer.go).
func (c *Command) decodeNode(d *decoder, field string, n *yaml.Node) {
	switch n.Kind {
	case yaml.SequenceNode:
		*c = d.strings(field, n, "")
	case yaml.ScalarNode:
		if strings.ContainsAny(n.Value, " \t\n") {
			*c = Command{"sh", "-c", n.Value}
		} else if n.Value != "" {
			*c = Command{n.Value}
		}
	default:
		d.fail(field, n, "", "expected a string or a list, got %s", describe(n))
	}
}

// decodeNode reads a kind in any case: the original writes it in lower case.
func (k *Kind) decodeNode(d *decoder, field string, n *yaml.Node) {
	text, ok := d.text(field, n, "")
	switch {
	case !ok:
	case strings.EqualFold(text, string(Deployment)):
		*k = Deployment
	case strings.EqualFold(text, string(StatefulSet)):
		*k = StatefulSet
	default:
		kinds := []string{string(Deployment), string(StatefulSet)}
		d.fail(field, n, didYouMean(text, kinds), "expected %s, got %q", strings.Join(kinds, " or "), text)
	}
}

func (l *StringList) decodeNode(d *decoder, field string, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		if s, ok := d.text(field, n, `expand:"true"`); ok {
			*l = StringList{s}
		}
		return
	}
	*l = d.strings(field, n, `expand:"true"`)
}

// strings reads a list of strings.
func (d *decoder) strings(field string, n *yaml.Node, tag reflect.StructTag) []string {
	var list []string
	d.decodeSlice(field, n, reflect.ValueOf(&list).Elem(), tag)
	return list
}

// decodeNode reads a mapping, or a list of KEY=VALUE. KEY alone takes the
// laptop's value, and is left out when there is none.
func (e *Environment) decodeNode(d *decoder, field string, n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		for _, p := range d.pairs(field, n) {
			if value, ok := d.envValue(join(field, p.key), p); ok {
				e.set(d, join(field, p.key), p.name, p.key, value)
			}
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			where := fmt.Sprintf("%s[%d]", field, i)
			text, ok := d.text(where, resolve(item), "")
			if !ok {
				continue
			}
			name, value, assigned := strings.Cut(text, "=")
			if !assigned {
				if value, ok = d.ownValue(where, item, name); !ok {
					continue
				}
			} else if value, ok = d.expand(where, item, value); !ok {
				continue
			}
			e.set(d, where, item, name, value)
		}
	default:
		d.fail(field, n, "", "expected a mapping, or a list of KEY=VALUE, got %s", describe(n))
	}
}

// envValue is the value of a mapping's entry; one without takes the laptop's.
func (d *decoder) envValue(field string, p pair) (string, bool) {
	n := resolve(p.value)
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return d.ownValue(field, p.name, p.key)
	}
	return d.text(field, n, `expand:"true"`)
}

// ownValue is what a variable is on the laptop.
func (d *decoder) ownValue(field string, n *yaml.Node, name string) (string, bool) {
	value, set := d.env.values[name]
	if !set {
		d.warn(field, n, "", "%s is not set on this machine and is left out", name)
	}
	return value, set
}

// set adds or replaces a variable; names are what Kubernetes allows.
func (e *Environment) set(d *decoder, field string, n *yaml.Node, name, value string) {
	for _, r := range name {
		if r <= ' ' || r > '~' || r == '=' {
			d.fail(field, n, "", "%q is not a name of an environment variable", name)
			return
		}
	}
	if name == "" {
		d.fail(field, n, "write KEY=VALUE", "the name of the environment variable is missing")
		return
	}
	for i := range *e {
		if (*e)[i].Name == name {
			(*e)[i].Value = value
			return
		}
	}
	*e = append(*e, EnvVar{Name: name, Value: value})
}

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

const amountHint = "500m is half a CPU, 512Mi are 512 mebibytes"

func (q *ResourceList) decodeNode(d *decoder, field string, n *yaml.Node) {
	values := map[string]string{}
	d.decodeMap(field, n, reflect.ValueOf(&values).Elem(), `expand:"true"`)
	*q = ResourceList{}
	for _, name := range sortedKeys(values) {
		text, where := values[name], join(field, name)
		if text == "" {
			continue
		}
		amount, err := resource.ParseQuantity(text)
		if err != nil || amount.Sign() < 0 {
			d.fail(where, d.at(where), amountHint, "%q is not an amount", text)
			continue
		}
		(*q)[resourceName(name)] = amount
	}
}

func (p *Probes) decodeNode(d *decoder, field string, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		all, _ := d.boolean(field, n)
		*p = Probes{all, all, all}
		return
	}
	d.decodeStruct(field, n, reflect.ValueOf(p).Elem())
}

func (l *Lifecycle) decodeNode(d *decoder, field string, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		if all, ok := d.boolean(field, n); ok {
			*l = Lifecycle{PostStart: Hook{Enabled: &all}, PreStop: Hook{Enabled: &all}}
		}
		return
	}
	d.decodeStruct(field, n, reflect.ValueOf(l).Elem())
}

func (h *Hook) decodeNode(d *decoder, field string, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		if enabled, ok := d.boolean(field, n); ok {
			h.Enabled = &enabled
		}
		return
	}
	d.decodeStruct(field, n, reflect.ValueOf(h).Elem())
}

func (t *Timeout) decodeNode(d *decoder, field string, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		t.Default = d.duration(field, n)
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fail(field, n, "", "expected a duration such as 60s, or a mapping of default, resources; got %s", describe(n))
		return
	}
	for _, p := range d.pairs(field, n) {
		where := join(field, p.key)
		switch p.key {
		case "default":
			t.Default = d.duration(where, resolve(p.value))
		case "resources":
			t.Resources = d.duration(where, resolve(p.value))
		default:
			d.unknown(field, p, reflect.TypeFor[Timeout]())
		}
	}
}

func (d *decoder) duration(field string, n *yaml.Node) time.Duration {
	value, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || value <= 0 {
		hint := "write it with a unit: 90s, 5m"
		if seconds, err := strconv.Atoi(n.Value); err == nil && seconds > 0 {
			hint = fmt.Sprintf("write %ds", seconds)
		}
		d.fail(field, n, hint, "expected a duration, got %s", describe(n))
		return 0
	}
	return value
}

func (v *Volume) decodeNode(d *decoder, field string, n *yaml.Node) {
	text, ok := d.text(field, n, `expand:"true"`)
	if !ok {
		return
	}
	if strings.Contains(text, ":") {
		d.fail(field, n, "to synchronize a folder use sync, to mount a claim externalVolumes", "expected a path in the container, got %q", text)
		return
	}
	v.RemotePath = d.remotePath(field, n, text)
}

// remotePath checks a path in the container.
func (d *decoder) remotePath(field string, n *yaml.Node, text string) string {
	switch {
	case text == "":
		d.fail(field, n, "", "the path in the container is missing")
	case !strings.HasPrefix(text, "/"):
		d.fail(field, n, "write /"+text, "the path in the container must be absolute, got %q", text)
	case path.Clean(text) == "/":
		d.fail(field, n, "name a folder, such as /app", "the root of the container cannot be used")
	case strings.ContainsAny(text, "\x00:"):
		d.fail(field, n, "", "%q is not a path that can be mounted", text)
	default:
		return path.Clean(text)
	}
	return ""
}

// dnsLabel is what names of most Kubernetes objects are (RFC 1123, section 2.1).
var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

func (v *ExternalVolume) decodeNode(d *decoder, field string, n *yaml.Node) {
	text, ok := d.text(field, n, `expand:"true"`)
	if !ok {
		return
	}
	parts := strings.Split(text, ":")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" {
		d.fail(field, n, "", "expected name:mountpath or name:subpath:mountpath, got %q", text)
		return
	}
	if len(validation.IsDNS1123Subdomain(parts[0])) > 0 {
		d.fail(field, n, "", "%q is not a name of a claim", parts[0])
		return
	}
	v.Name, v.MountPath = parts[0], d.remotePath(field, n, parts[len(parts)-1])
	if len(parts) == 3 {
		v.SubPath = parts[1]
		if path.IsAbs(v.SubPath) || strings.HasPrefix(path.Clean(v.SubPath), "..") {
			d.fail(field, n, "", "the subpath %q must stay inside the claim", v.SubPath)
		}
	}
}
