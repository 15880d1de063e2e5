package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"okteto/internal/contract"
)

// UpdateSecret replaces the content of /var/okteto/secret, as the kubelet does when
// the Secret has changed: all files at once, by moving a link.
func (c *Container) UpdateSecret(files map[string]string) {
	c.t.Helper()
	dir := filepath.Join(c.opts.Base, contract.SecretDir)
	remount := func(access string) {
		c.t.Helper()
		out, err := exec.Command("nsenter", "--target", strconv.Itoa(c.PID()), "--mount", "--",
			"mount", "-o", "remount,bind,"+access, dir).CombinedOutput()
		if err != nil {
			c.t.Fatalf("remount %s: %v: %s", dir, err, out)
		}
	}
	remount("rw")
	defer remount("ro")
	seen := c.Path(contract.SecretDir)
	data, err := os.MkdirTemp(seen, "..")
	if err == nil {
		err = os.Chmod(data, 0o755)
	}
	for name, content := range files {
		if err == nil {
			err = os.WriteFile(filepath.Join(data, name), []byte(content), 0o644)
		}
	}
	link := filepath.Join(seen, "..data_tmp")
	if err == nil {
		err = os.Symlink(filepath.Base(data), link)
	}
	if err == nil {
		err = os.Rename(link, filepath.Join(seen, "..data"))
	}
	if err != nil {
		c.t.Fatal(err)
	}
}
