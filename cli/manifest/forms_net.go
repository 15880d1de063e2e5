package manifest

import (
	"fmt"
	"math"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"okteto/internal/contract"
)

func resourceName(s string) corev1.ResourceName { return corev1.ResourceName(s) }

// decodeNode reads a list of local:remote, which turns compression on as the
// original does, or a mapping with folders and settings.
func (s *Sync) decodeNode(d *decoder, field string, n *yaml.Node) {
	*s = defaultSync()
	switch n.Kind {
	case yaml.SequenceNode:
		s.Compression = true
		d.decodeSlice(field, n, reflect.ValueOf(&s.Folders).Elem(), "")
	case yaml.ScalarNode:
		d.fail(field, n, "put a dash before it, on a line of its own", "expected a list of local:remote, got %s", describe(n))
	default:
		d.decodeStruct(field, n, reflect.ValueOf(s).Elem())
	}
}

// Rescan interval of the original (pkg/model/dev.go).
const defaultRescanInterval = 300

func defaultSync() Sync {
	return Sync{Verbose: true, RescanInterval: defaultRescanInterval}
}

// decodeNode reads local:remote. The last colon divides, so that a drive
// letter may be in front.
func (f *SyncFolder) decodeNode(d *decoder, field string, n *yaml.Node) {
	text, ok := d.text(field, n, `expand:"true"`)
	if !ok {
		return
	}
	local, remote, ok := cutLast(text, ":")
	if !ok || local == "" {
		d.fail(field, n, "such as .:/app", "expected local:remote, got %q", text)
		return
	}
	f.LocalPath, f.RemotePath = d.localPath(local), d.remotePath(field, n, remote)
}

func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}

// localPath makes a path of the laptop absolute, from the manifest's folder.
func (d *decoder) localPath(text string) string {
	text = filepath.FromSlash(text)
	if text == "~" || strings.HasPrefix(text, "~"+string(filepath.Separator)) {
		if home := d.env.home(); home != "" {
			text = filepath.Join(home, text[1:])
		}
	}
	if filepath.IsAbs(text) {
		return filepath.Clean(text)
	}
	return filepath.Join(d.env.dir, text)
}

// Names in SecretDir that belong to the system.
func reservedSecret(base string) bool {
	return base == path.Base(contract.AuthorizedKeys) || base == contract.HostKeyName ||
		strings.HasPrefix(base, contract.IgnoreFile)
}

var octal = regexp.MustCompile(`^0?[0-7]{3}$`)

// decodeNode reads local:remote[:octal mode].
func (s *Secret) decodeNode(d *decoder, field string, n *yaml.Node) {
	text, ok := d.text(field, n, `expand:"true"`)
	if !ok {
		return
	}
	if rest, mode, found := cutLast(text, ":"); found && !strings.HasPrefix(mode, "/") {
		value, err := strconv.ParseInt(mode, 8, 32)
		if err != nil || !octal.MatchString(mode) {
			d.fail(field, n, "local:remote:mode, such as ~/.netrc:/root/.netrc:600", "%q is neither an absolute path in the container nor an octal file mode", mode)
			return
		}
		bits := int32(value)
		s.Mode, text = &bits, rest
	}
	local, remote, found := cutLast(text, ":")
	if !found || local == "" {
		d.fail(field, n, "such as ~/.netrc:/root/.netrc", "expected local:remote, got %q", text)
		return
	}
	s.LocalPath, s.RemotePath = d.localPath(local), d.remotePath(field, n, remote)
	base := path.Base(s.RemotePath)
	switch {
	case reservedSecret(base):
		d.fail(field, n, "choose another file name", "%s is a file name that okteto itself uses", base)
	case s.RemotePath != "" && len(validation.IsConfigMapKey(contract.SecretItemPrefix+base)) > 0:
		d.fail(field, n, "letters, digits, dashes, dots and underscores", "%q cannot be the file name of a secret", base)
	}
}

// host is a service's name, with its namespace and domain if need be.
var host = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*$`)

// decodeNode reads local:remote, local:service:remote, or the mapping form.
func (f *Forward) decodeNode(d *decoder, field string, n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		f.decodeMapping(d, field, n)
		return
	}
	text, ok := d.text(field, n, `expand:"true"`)
	if !ok {
		return
	}
	parts := strings.Split(text, ":")
	switch len(parts) {
	case 2:
		f.LocalPort, f.RemotePort = d.port(field, n, parts[0]), d.port(field, n, parts[1])
	case 3:
		f.LocalPort, f.RemotePort = d.port(field, n, parts[0]), d.port(field, n, parts[2])
		if f.Service = parts[1]; !host.MatchString(f.Service) {
			d.fail(field, n, "", "%q is not a name of a service", f.Service)
		}
	default:
		hint := "such as 8080:80"
		if _, err := strconv.Atoi(text); err == nil {
			hint = fmt.Sprintf("write %s:%s", text, text)
		}
		d.fail(field, n, hint, "expected local:remote or local:service:remote, got %q", text)
	}
}

// forwardMapping is the modern form of a forward.
type forwardMapping struct {
	LocalPort  int               `json:"localPort" min:"1" max:"65535" doc:"Port on the laptop."`
	RemotePort int               `json:"remotePort" min:"1" max:"65535" doc:"Port of the pod or service."`
	Name       string            `json:"name,omitempty" doc:"Name of the service; the pod itself unless set."`
	Labels     map[string]string `json:"labels,omitempty" doc:"Labels of the service, instead of its name."`
}

func (f *Forward) decodeMapping(d *decoder, field string, n *yaml.Node) {
	var m forwardMapping
	failed := len(d.issues)
	d.decodeStruct(field, n, reflect.ValueOf(&m).Elem())
	if len(d.issues) > failed {
		return
	}
	switch {
	case m.LocalPort == 0 || m.RemotePort == 0:
		d.fail(field, n, "", "localPort and remotePort are both needed")
	case m.Name != "" && len(m.Labels) > 0:
		d.fail(field, n, "remove one of them", "name and labels exclude each other")
	}
	*f = Forward{LocalPort: m.LocalPort, RemotePort: m.RemotePort, Service: m.Name, Labels: m.Labels}
}

// decodeNode reads remote:local.
func (r *Reverse) decodeNode(d *decoder, field string, n *yaml.Node) {
	text, ok := d.text(field, n, `expand:"true"`)
	if !ok {
		return
	}
	remote, local, found := strings.Cut(text, ":")
	if !found || strings.Contains(local, ":") {
		d.fail(field, n, "such as 9000:9001", "expected remote:local, got %q", text)
		return
	}
	r.RemotePort, r.LocalPort = d.port(field, n, remote), d.port(field, n, local)
}

func (d *decoder) port(field string, n *yaml.Node, text string) int {
	port, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || port < 1 || port > math.MaxUint16 {
		d.fail(field, n, "", "%q is not a port between 1 and %d", text, math.MaxUint16)
		return 0
	}
	return port
}

// home is the user's home folder as the environment has it.
func (e *environment) home() string {
	for _, name := range []string{"HOME", "USERPROFILE"} {
		if value := e.values[name]; value != "" {
			return value
		}
	}
	return ""
}

// sortedKeys of a map, for stable messages.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
