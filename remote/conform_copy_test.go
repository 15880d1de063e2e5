package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"okteto/internal/testkit/sshkit"
)

func TestConformanceCopy(t *testing.T) {
	conform(t, []row{
		{id: "I-scp-legacy", what: "scp, legacy protocol", test: scpBothWays("-O")},
		{id: "I-scp-sftp", what: "scp over sftp", test: scpBothWays("-s")},
		{id: "I-rsync", what: "rsync push, delta, pull", test: rsyncTree},
		{id: "I-rsync-odd", what: "rsync with odd names, protected arguments, links and holes", test: rsyncOdd},
		{id: "I-git", what: "git clone and push", test: gitOverSSH},
	})
}

func scpBothWays(flag string) func(testing.TB, *sshkit.Server) {
	return func(tb testing.TB, s *sshkit.Server) { scpTrees(tb, s, flag) }
}

func scpTrees(tb testing.TB, s *sshkit.Server, flag string) {
	tb.Helper()
	d := tb.TempDir()
	_ = os.MkdirAll(d+"/tree/sub/empty", 0o755)
	write(tb, d+"/tree/none", nil)
	write(tb, d+"/tree/big", noise(1<<20))
	write(tb, d+"/tree/sub/with space", []byte("x"))
	for _, name := range []string{"quo'te\"s", "ümläut", "-dash", "star*", "back\\slash", "$(id)", "not\xffutf8", ".hidden"} {
		write(tb, d+"/tree/"+name, []byte(name))
	}
	_ = os.Chmod(d+"/tree/sub/with space", 0o750)
	stamp := time.Unix(1_400_000_000, 0)
	_ = os.Chtimes(d+"/tree/big", stamp, stamp)
	scp := func(args ...string) {
		tb.Helper()
		r := sshkit.Run(tb, s.SCP(append([]string{flag}, args...)...))
		want(tb, fmt.Sprintf("scp %v: %s", args, r.Stderr), r.Code, 0)
	}
	scp("-r", "-p", d+"/tree", "pod:"+d+"/there")
	scp("-r", "-p", "pod:"+d+"/there", d+"/back")
	out, err := exec.Command("sh", "-c", fmt.Sprintf("diff -r %[1]s/tree %[1]s/there && diff -r %[1]s/tree %[1]s/back", d)).CombinedOutput()
	want(tb, "difference "+string(out), err, error(nil))
	for _, dir := range []string{"/there", "/back"} {
		st, err := os.Stat(d + dir + "/big")
		want(tb, fmt.Sprint("time ", err), err == nil && st.ModTime().Equal(stamp), true)
		st, err = os.Stat(d + dir + "/sub/with space")
		want(tb, fmt.Sprint("mode ", err), err == nil && st.Mode() == 0o750, true)
	}
	_ = os.Mkdir(d+"/one", 0o755)
	scp(d+"/tree/big", d+"/tree/none", "pod:"+d+"/one")
	scp("pod:"+d+"/tree/bi*", d+"/one/glob")
	want(tb, "copied", read(tb, d+"/one/big") == read(tb, d+"/one/glob"), true)
	r := sshkit.Run(tb, s.SCP(flag, "pod:"+d+"/missing", d+"/x"))
	want(tb, "status for a missing file", r.Code, 1)
}

// rsync runs the system's rsync over the system's client.
func rsync(tb testing.TB, s *sshkit.Server, args ...string) string {
	tb.Helper()
	out, err := exec.Command("rsync", append([]string{"-a", "--stats", "-e", s.Shell()}, args...)...).CombinedOutput()
	want(tb, string(out), err, error(nil))
	return string(out)
}

func same(tb testing.TB, a, b string) {
	tb.Helper()
	out, err := exec.Command("diff", "-r", a, b).CombinedOutput()
	want(tb, "difference "+string(out), err, error(nil))
}

func rsyncTree(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	_ = os.MkdirAll(d+"/src/sub", 0o755)
	for i := range 50 {
		write(tb, fmt.Sprintf("%s/src/sub/%d", d, i), noise(i*1000))
	}
	rsync(tb, s, d+"/src/", "pod:"+d+"/dst/")
	write(tb, d+"/src/sub/3", []byte("changed"))
	want(tb, "one file moved", strings.Contains(rsync(tb, s, "--checksum", d+"/src/", "pod:"+d+"/dst/"), "files transferred: 1\n"), true)
	rsync(tb, s, "pod:"+d+"/dst/", d+"/back/")
	same(tb, d+"/src", d+"/back")
}

func rsyncOdd(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	src := d + "/a b'c\"$(id)*"
	_ = os.MkdirAll(src, 0o755)
	for _, name := range []string{"with space", "quo'te", "ümläut", "new\nline", "-dash", "not\xffutf8"} {
		write(tb, src+"/"+name, []byte(name))
	}
	_ = os.Link(src+"/with space", src+"/hard")
	_ = os.Symlink("nowhere", src+"/link")
	write(tb, src+"/holes", nil)
	_ = os.Truncate(src+"/holes", 50<<20)
	write(tb, d+"/stale", nil)
	for _, protect := range []string{"--protect-args", "--no-protect-args"} {
		to := d + "/" + protect
		_ = os.Mkdir(to, 0o755)
		write(tb, to+"/stale", nil)
		rsync(tb, s, protect, "-HSz", "--delete", src+"/", "pod:"+to+"/")
		a, _ := os.Stat(to + "/with space")
		b, err := os.Stat(to + "/hard")
		want(tb, fmt.Sprint("hard link ", err), err == nil && os.SameFile(a, b), true)
		link, _ := os.Readlink(to + "/link")
		want(tb, "link", link, "nowhere")
		_ = os.Remove(to + "/link") // diff would follow it
	}
	rsync(tb, s, "--protect-args", "pod:"+src+"/", d+"/back/")
	for _, dir := range []string{src, d + "/back"} {
		_ = os.Remove(dir + "/link")
	}
	same(tb, src, d+"/back")
	same(tb, src, d+"/--protect-args")
	same(tb, src, d+"/--no-protect-args")
}

func gitOverSSH(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	script := fmt.Sprintf(`set -e
cd %[1]s; export GIT_CONFIG_GLOBAL=/dev/null HOME=%[1]s
git init -q --bare bare.git
git init -q source; cd source; git config user.name t; git config user.email t@t
head -c %[2]d /dev/urandom >f; git add f; git commit -qm one
git push -q pod:%[1]s/bare.git HEAD:refs/heads/main
cd ..; git clone -q -b main pod:%[1]s/bare.git clone
cmp source/f clone/f
cd source; for i in $(seq 300); do echo $i >$i; done; git add .; git commit -qm two; git push -q pod:%[1]s/bare.git HEAD:refs/heads/main
cd ../clone; git pull -q; git fsck --strict 2>&1; cmp 300 ../source/300
cd ..; git clone -q --depth 1 -b main pod:%[1]s/bare.git shallow; cmp source/f shallow/f`, d, scale(50<<20, 8<<20))
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = append(os.Environ(), "GIT_SSH_COMMAND="+s.Shell())
	out, err := cmd.CombinedOutput()
	want(tb, string(out), err, error(nil))
}
