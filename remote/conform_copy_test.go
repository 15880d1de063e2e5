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
		{id: "I01", what: "scp, legacy protocol", test: scpBothWays("-O")},
		{id: "I02", what: "scp over sftp", test: scpBothWays("-s")},
		{id: "I03", what: "rsync push, delta, pull", test: rsyncTree},
		{id: "I04", what: "git clone and push", test: gitOverSSH},
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
	scp("pod:"+d+"/tree/b*", d+"/one/glob")
	want(tb, "copied", read(tb, d+"/one/big") == read(tb, d+"/one/glob"), true)
	r := sshkit.Run(tb, s.SCP(flag, "pod:"+d+"/missing", d+"/x"))
	want(tb, "status for a missing file", r.Code, 1)
}

func rsyncTree(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	_ = os.MkdirAll(d+"/src/sub", 0o755)
	for i := range 50 {
		write(tb, fmt.Sprintf("%s/src/sub/%d", d, i), noise(i*1000))
	}
	run := func(args ...string) string {
		out, err := exec.Command("rsync", append([]string{"-a", "--stats", "-e", s.Shell()}, args...)...).CombinedOutput()
		want(tb, string(out), err, error(nil))
		return string(out)
	}
	run(d+"/src/", "pod:"+d+"/dst/")
	write(tb, d+"/src/sub/3", []byte("changed"))
	want(tb, "one file moved", strings.Contains(run("--checksum", d+"/src/", "pod:"+d+"/dst/"), "files transferred: 1\n"), true)
	run("pod:"+d+"/dst/", d+"/back/")
	out, err := exec.Command("diff", "-r", d+"/src", d+"/back").CombinedOutput()
	want(tb, "difference "+string(out), err, error(nil))
}

func gitOverSSH(tb testing.TB, s *sshkit.Server) {
	d := tb.TempDir()
	script := fmt.Sprintf(`set -e
cd %[1]s; export GIT_CONFIG_GLOBAL=/dev/null HOME=%[1]s
git init -q --bare bare.git
git init -q work; cd work; git config user.name t; git config user.email t@t
head -c 300000 /dev/urandom >f; git add f; git commit -qm one
git push -q pod:%[1]s/bare.git HEAD:refs/heads/main
cd ..; git clone -q -b main pod:%[1]s/bare.git clone
cmp work/f clone/f`, d)
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = append(os.Environ(), "GIT_SSH_COMMAND="+s.Shell())
	out, err := cmd.CombinedOutput()
	want(tb, string(out), err, error(nil))
}
