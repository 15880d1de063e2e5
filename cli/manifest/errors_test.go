package manifest

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestErrors gives each mistake and the words for it: line, column, field, what
// is wrong, what to write instead.
func TestErrors(t *testing.T) {
	t.Setenv("OKTETO_TIMEOUT", "")
	for name, tt := range map[string]struct{ content, want string }{
		"empty":           {"", "okteto.yml: the file is empty (okteto init writes one)"},
		"only a comment":  {"# later\n", "okteto.yml: the file is empty (okteto init writes one)"},
		"no mapping":      {"- api\n", "okteto.yml:1:1: expected a mapping of name, image, sync, …, got a list (see docs/manifest.md)"},
		"two documents":   {"name: api\n---\nname: b\n", "okteto.yml:2:1: a second document: a manifest is one document (remove it)"},
		"tab":             {"name: api\nsync:\n\t- .:/app\n", "okteto.yml:3:1: a tab in the indentation (YAML is indented with spaces)"},
		"syntax":          {"name: api\nimage: a: b\n", "okteto.yml:2:1: mapping values are not allowed in this context"},
		"name is missing": {"image: golang\n", "okteto.yml:1:1: name: the name of the environment is missing (add: name: project)"},
		"name":            {"name: My_App\n", `okteto.yml:1:7: name: "My_App" must be lower-case letters, digits and dashes (such as my-app)`},
		"long name": {
			"name: " + strings.Repeat("a", 57) + "\n",
			"okteto.yml:1:7: name: the name has 57 characters, at most 56 fit in what it becomes part of (use a shorter name, and selector to find the workload)",
		},
		"unknown field":          {"name: api\nimgae: golang\n", "okteto.yml:2:1: imgae: unknown field (did you mean image?)"},
		"unknown, nothing near":  {"name: api\nfoo: bar\n", "okteto.yml:2:1: foo: unknown field"},
		"nested unknown":         {"name: api\nsecurityContext:\n  runAsUsr: 1\n", "okteto.yml:3:3: securityContext.runAsUsr: unknown field (did you mean runAsUser?)"},
		"indented too far":       {"name: api\npersistentVolume:\n  enabled: true\n  workdir: /app\n", "okteto.yml:4:3: persistentVolume.workdir: unknown field (it belongs to the environment: move it to the left)"},
		"in Kubernetes' types":   {"name: api\ntolerations:\n  - {kye: gpu}\n", "okteto.yml:3:6: tolerations[0].kye: unknown field (did you mean key?)"},
		"twice":                  {"name: api\nimage: a\nimage: b\n", "okteto.yml:3:1: image: this key is there twice (remove one of them)"},
		"alias and name":         {"name: api\nlabels: {a: b}\nselector: {a: b}\n", "okteto.yml:3:1: selector: labels and selector mean the same (remove one of them)"},
		"not supported":          {"name: api\ndivert: {}\n", "okteto.yml:2:1: divert: is not supported (use a namespace of your own)"},
		"wrong type":             {"name: api\nremote: yes please\n", `okteto.yml:2:9: remote: expected a whole number, got "yes please"`},
		"quoted number":          {"name: api\nremote: \"22\"\n", `okteto.yml:2:9: remote: expected a whole number, got "22" (remove the quotes)`},
		"out of range":           {"name: api\nremote: 70000\n", "okteto.yml:2:9: remote: 70000 is not between 0 and 65535"},
		"not a bool":             {"name: api\nautocreate: maybe\n", `okteto.yml:2:13: autocreate: expected true or false, got "maybe"`},
		"not a list":             {"name: api\nsync: .:/app\n", `okteto.yml:2:7: sync: expected a list of local:remote, got ".:/app" (put a dash before it, on a line of its own)`},
		"not a mapping":          {"name: api\nselector: [a]\n", "okteto.yml:2:11: selector: expected a mapping, got a list"},
		"enum":                   {"name: api\nimagePullPolicy: always\n", `okteto.yml:2:18: imagePullPolicy: expected Always or IfNotPresent or Never, got "always" (did you mean Always?)`},
		"image of S":             {"name: api\nimage:\n  - golang\n", "okteto.yml:3:3: image: expected the name of an image, or a mapping of name, context, dockerfile, target, args, cache_from; got a list"},
		"sync without a path":    {"name: api\nsync: [.]\n", `okteto.yml:2:8: sync[0]: expected local:remote, got "." (such as .:/app)`},
		"sync to /":              {"name: api\nsync:\n  - .:/\n", "okteto.yml:3:5: sync[0]: the root of the container cannot be used (name a folder, such as /app)"},
		"sync to a relative":     {"name: api\nsync:\n  - .:app\n", `okteto.yml:3:5: sync[0]: the path in the container must be absolute, got "app" (write /app)`},
		"sync twice":             {"name: api\nsync: [a:/app, b:/app/]\n", "okteto.yml:2:16: sync[1]: /app is already the path of sync[0] (choose another path)"},
		"sync over ours":         {"name: api\nsync: [a:/var/okteto]\n", "okteto.yml:2:8: sync[0]: /var/okteto overlaps /var/okteto/bin, which okteto itself uses (choose another path)"},
		"object form of sync":    {"name: api\nsync:\n  folders:\n    - a:b\n", `okteto.yml:4:7: sync.folders[0]: the path in the container must be absolute, got "b" (write /b)`},
		"forward":                {"name: api\nforward: [8080]\n", `okteto.yml:2:11: forward[0]: expected local:remote or local:service:remote, got "8080" (write 8080:8080)`},
		"forward port":           {"name: api\nforward: [\"8080:http\"]\n", `okteto.yml:2:11: forward[0]: "http" is not a port between 1 and 65535`},
		"forward twice":          {"name: api\nforward: [\"1:1\", \"1:2\"]\n", "okteto.yml:2:18: forward[1]: local port 1 is already used by forward[0] (choose another local port)"},
		"forward name or labels": {"name: api\nforward:\n  - {localPort: 1, remotePort: 2, name: a, labels: {a: b}}\n", "okteto.yml:3:5: forward[0]: name and labels exclude each other (remove one of them)"},
		"global forward":         {"dev:\n  api:\n    image: a\nforward: [\"1:1\"]\n", "okteto.yml:4:11: forward[0]: a forward outside of an environment needs a service (such as 5432:postgres:5432)"},
		"reverse over ours":      {"name: api\nreverse: [\"2222:1\"]\n", "okteto.yml:2:11: reverse[0]: port 2222 of the pod is already used by the SSH server (choose another port in the pod)"},
		"secret":                 {"name: api\nsecrets: [token]\n", `okteto.yml:2:11: secrets[0]: expected local:remote, got "token" (such as ~/.netrc:/root/.netrc)`},
		"secret mode":            {"name: api\nsecrets: [\"a:/b:888\"]\n", `okteto.yml:2:11: secrets[0]: "888" is neither an absolute path in the container nor an octal file mode (local:remote:mode, such as ~/.netrc:/root/.netrc:600)`},
		"secret names":           {"name: api\nsecrets: [\"a:/x/t\", \"b:/y/t\"]\n", "okteto.yml:2:21: secrets[1]: two secrets are called t (give one of them another file name)"},
		"secret of ours":         {"name: api\nsecrets: [\"a:/root/.ssh/authorized_keys\"]\n", "okteto.yml:2:11: secrets[0]: authorized_keys is a file name that okteto itself uses (choose another file name)"},
		"volumes without volume": {"name: api\nvolumes: [/cache]\npersistentVolume: {enabled: false}\n", "okteto.yml:2:10: volumes: volumes need the environment's volume (remove them, or set persistentVolume.enabled: true)"},
		"volume is a sync":       {"name: api\nvolumes: [\".:/app\"]\n", `okteto.yml:2:11: volumes[0]: expected a path in the container, got ".:/app" (to synchronize a folder use sync, to mount a claim externalVolumes)`},
		"external volume":        {"name: api\nexternalVolumes: [data]\n", `okteto.yml:2:19: externalVolumes[0]: expected name:mountpath or name:subpath:mountpath, got "data"`},
		"subpath escapes":        {"name: api\nexternalVolumes: [\"data:../x:/data\"]\n", `okteto.yml:2:19: externalVolumes[0]: the subpath "../x" must stay inside the claim`},
		"root and non-root":      {"name: api\nsecurityContext:\n  runAsUser: 0\n  runAsNonRoot: true\n", "okteto.yml:4:17: securityContext.runAsNonRoot: runAsUser 0 is root (set another runAsUser, or remove runAsNonRoot)"},
		"amount":                 {"name: api\nresources: {limits: {memory: 1 GB}}\n", `okteto.yml:2:30: resources.limits.memory: "1 GB" is not an amount (500m is half a CPU, 512Mi are 512 mebibytes)`},
		"request above limit":    {"name: api\nresources: {requests: {cpu: 2}, limits: {cpu: 1}}\n", "okteto.yml:2:29: resources.requests.cpu: the request 2 is above the limit 1"},
		"quantity":               {"name: api\npersistentVolume: {size: big}\n", `okteto.yml:2:26: persistentVolume.size: "big" is not an amount (500m is half a CPU, 512Mi are 512 mebibytes)`},
		"timeout":                {"name: api\ntimeout: 60\n", "okteto.yml:2:10: timeout: expected a duration, got 60 (write 60s)"},
		"timeout key":            {"name: api\ntimeout: {defalt: 60s}\n", "okteto.yml:2:11: timeout.defalt: unknown field (did you mean default?)"},
		"environment":            {"name: api\nenvironment: [=a]\n", "okteto.yml:2:15: environment[0]: the name of the environment variable is missing (write KEY=VALUE)"},
		"bad expansion":          {"name: api\nimage: ${TAG\n", `okteto.yml:2:8: image: "${TAG" cannot be expanded: closing brace expected (write ${NAME} or ${NAME:-default})`},
		"service without a name": {"name: api\nservices: [{image: a}]\n", "okteto.yml:2:12: services[0]: a service needs the name or the labels of its workload"},
		"service sync":           {"name: api\nsync: [a:/a]\nservices: [{name: w, sync: [b:/b]}]\n", "okteto.yml:3:28: services[0].sync: $DIR/b is not among the folders that the environment synchronizes (add it to the environment's sync)"},
		"modern without dev":     {"build: {api: {}}\n", "okteto.yml:1:1: dev: the manifest has no environment (add one, with its name as the key)"},
		"modern, list":           {"dev: [api]\n", "okteto.yml:1:6: dev: expected a mapping of environments by name, got a list (write the name of the environment, a colon, and its fields below)"},
		"modern, field":          {"dev:\n  api:\n    synch: []\n", "okteto.yml:3:5: dev.api.synch: unknown field (did you mean sync?)"},
		"hybrid":                 {"name: api\nmode: hybrid\n", `okteto.yml:2:7: mode: expected sync, got "hybrid"`},
		"envFiles":               {"name: api\nenvFiles: none.env\n", "okteto.yml:2:11: envFiles: read none.env: open $DIR/none.env: no such file or directory"},
		"all at once": {
			"name: api\nremote: x\nfoo: 1\nsync: [.:/]\n",
			"okteto.yml:2:9: remote: expected a whole number, got \"x\"\nokteto.yml:3:1: foo: unknown field\nokteto.yml:4:8: sync[0]: the root of the container cannot be used (name a folder, such as /app)",
		},
		"octal":              {"name: api\nremote: 02222\n", "okteto.yml:2:9: remote: 02222 is an octal number to some and a decimal one to others (write 2222 without the zeros, or 0o2222 for an octal number)"},
		"octal that is none": {"name: api\nremote: 08080\n", "okteto.yml:2:9: remote: expected a whole number, got 08080 (write 8080)"},
		"exponent":           {"name: api\nremote: 1e3\n", "okteto.yml:2:9: remote: expected a whole number, got 1e3"},
		"user id":            {"name: api\nsecurityContext: {runAsUser: 99999999999}\n", "okteto.yml:2:30: securityContext.runAsUser: 99999999999 is not between 0 and 2147483647"},
		"kind":               {"name: api\nk8sObjectType: DaemonSet\n", `okteto.yml:2:16: k8sObjectType: expected Deployment or StatefulSet, got "DaemonSet"`},
		"resource":           {"name: api\nresources: {limits: {memroy: 1Gi}}\n", `okteto.yml:2:30: resources.limits.memroy: "memroy" is not a resource (did you mean memory?)`},
		"resource twice":     {"name: api\nresources: {limits: {cpu: 1, cpu: 2}}\n", "okteto.yml:2:30: resources.limits.cpu: this key is there twice (remove one of them)"},
		"label":              {"name: api\nmetadata: {labels: {team: a b}}\n", `okteto.yml:2:27: metadata.labels.team: "a b" is not a value of a label: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`},
		"service account":    {"name: api\nserviceAccount: Dev Team\n", `okteto.yml:2:17: serviceAccount: "Dev Team" is not a name of a service account (lower-case letters, digits and dashes)`},
		"toleration":         {"name: api\ntolerations: [{effect: Noschedule}]\n", `okteto.yml:2:24: tolerations[0].effect: expected NoSchedule or PreferNoSchedule or NoExecute, got "Noschedule" (did you mean NoSchedule?)`},
		"interface":          {"name: api\ninterface: all of them\n", `okteto.yml:2:12: interface: "all of them" is not an address of this machine (such as localhost or 0.0.0.0)`},
		"secret's file":      {"name: api\nsecrets: [\"a:/x/my file\"]\n", `okteto.yml:2:11: secrets[0]: "my file" cannot be the file name of a secret (letters, digits, dashes, dots and underscores)`},
		"service twice":      {"name: api\nservices: [{name: w}, {name: w}]\n", "okteto.yml:2:23: services[1]: two services are called w (remove one of them)"},
		"service workdir":    {"name: api\nservices: [{name: w, workdir: app}]\n", `okteto.yml:2:31: services[0].workdir: must be absolute, got "app" (write /app)`},
		"service paths":      {"name: api\nsync: [.:/app]\nservices: [{name: w, sync: [.:/a, .:/a]}]\n", "okteto.yml:3:28: services[0].sync: /a is already the path of another folder or volume (choose another path)"},
		"global forwards":    {"dev: {api: }\nforward: [\"1:a:1\", \"1:b:1\"]\n", "okteto.yml:2:20: forward[1]: local port 1 is already used by another forward (choose another local port)"},
		"required variable":  {"name: api\nimage: ${SURELY_NOT_SET:?the tag, see CI}\n", "okteto.yml:2:8: image: SURELY_NOT_SET: the tag, see CI (set it, or write it to .env beside the manifest)"},
		"unknown anchor":     {"name: api\nimage: golang\ninitContainer: {image: *im}\n", "okteto.yml:3:24: unknown anchor 'im' referenced (define it above, as &im; a text that begins with * is written in quotes)"},
		"zero byte":          {"name: api\nimage: \"a\\0b\"\n", "okteto.yml:2:8: image: a zero byte cannot be in a value"},
		"alias to itself":    {"name: api\nselector: &a\n  x: *a\n", "okteto.yml:2:11: selector.x: expected a string, got a mapping"},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, tt.content)
			_, err := Load(path)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			dir := filepath.Dir(path)
			got := strings.NewReplacer(path, "okteto.yml", dir, "$DIR", filepath.Base(dir), "project").Replace(e.Error())
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestUnsetVariablesAreWarnedAbout(t *testing.T) {
	m := load(t, "name: api\nimage: golang:${SURELY_NOT_SET}\nenvironment: [SURELY_NOT_SET, A=b]\n")
	if len(m.Warnings) != 2 || m.Warnings[0].Line != 2 || m.Warnings[1].Line != 3 {
		t.Errorf("warnings: %v", m.Warnings)
	}
	if env := m.Devs[0].Environment; len(env) != 1 || env[0].Name != "A" {
		t.Errorf("a variable without a value is passed on: %v", env)
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"image", "imagePullPolicy", "sync", "forward"}
	for word, want := range map[string]string{
		"imgae": "image", "Image": "image", "imagepullpolicy": "imagePullPolicy", "snyc": "sync",
		"forwards": "forward", "xyz": "", "": "",
	} {
		if got := Suggest(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}

// FuzzLoad looks for content that crashes the loader, or that it accepts and
// makes something of that cannot be right.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"name: api\nsync: [.:/app]\n",
		"dev:\n  a: &x {image: a}\n  b: {<<: *x}\n",
		"name: api\nimage: ${A:-${B}}\nenvironment: {A: $B}\n",
		"a: &a [*a]\nname: *a\n",
		"name: a\ntimeout: {default: 1s}\nresources: {limits: {cpu: 1}}\n",
		"a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nname: c\nforward: *c\n",
	} {
		f.Add(seed)
	}
	env := &environment{dir: "/project", values: map[string]string{"A": "1", "HOME": "/home/dev"}}
	f.Fuzz(func(t *testing.T, content string) {
		m, err := parse("okteto.yml", []byte(content), env)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || len(e.Issues) == 0 {
				t.Fatalf("an error without an issue: %v", err)
			}
			return
		}
		if len(m.Devs) == 0 {
			t.Fatal("accepted without an environment")
		}
		for _, d := range m.Devs {
			if !dnsLabel.MatchString(d.Name) || len(d.Sync.Folders) == 0 || len(d.Command) == 0 || d.SSHServerPort == 0 {
				t.Fatalf("accepted: %+v", d)
			}
			for _, s := range d.Sync.Folders {
				if !filepath.IsAbs(s.LocalPath) || !strings.HasPrefix(s.RemotePath, "/") || s.RemotePath == "/" {
					t.Fatalf("folder %+v", s)
				}
			}
		}
	})
}
