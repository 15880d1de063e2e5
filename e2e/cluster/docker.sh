#!/bin/bash
# Makes sure that a Docker daemon answers. One that runs already is used as it is;
# else this starts one, by systemd or, in a container or a machine without it,
# directly. No configuration file is touched.
set -euo pipefail
# shellcheck source=e2e/cluster/lib.sh
. "$(dirname "$0")/lib.sh"

log=/var/log/okteto-e2e-dockerd.log

# forget_stale PIDFILE NAME: a daemon that was killed leaves its pid file, and the
# next one refuses to start while any process has that pid: another program's, or
# its own zombie, whose exe leads nowhere.
forget_stale() {
  local pid exe
  pid=$(cat "$1" 2>/dev/null) || return 0
  exe=$(readlink "/proc/$pid/exe" || true)
  [ "${exe##*/}" = "$2" ] || rm -f "$1"
}

start() {
  local args=()
  # Bit 24 is CAP_SYS_RESOURCE.
  if ! ((0x$(awk '/^CapBnd/ {print $2}' /proc/self/status) >> 24 & 1)); then
    install -m 755 "$SOURCE/runc-caps" /usr/local/sbin/okteto-e2e-runc
    args=(--add-runtime caps=/usr/local/sbin/okteto-e2e-runc --default-runtime caps)
  fi
  forget_stale /var/run/docker.pid dockerd
  forget_stale /var/run/docker/containerd/containerd.pid containerd
  setsid dockerd "${args[@]}" >"$log" 2>&1 </dev/null &
  daemon=$!
}

docker info >/dev/null 2>&1 && exit 0
command -v dockerd >/dev/null || fail "no Docker daemon answers, and dockerd is not installed" "start Docker, or: $ROOT/.ci/install.sh"
[ "$(id -u)" = 0 ] || fail "no Docker daemon answers" "start it, or run this as root"
daemon=
if [ -d /run/systemd/system ]; then
  systemctl start docker
else
  start
fi
for _ in $(seq 150); do
  if docker info >/dev/null 2>&1; then
    say "dockerd started"
    exit 0
  fi
  [ -z "$daemon" ] || kill -0 "$daemon" 2>/dev/null || break
  sleep 0.2
done
[ -z "$daemon" ] || tail -n 20 "$log" >&2
fail "dockerd does not answer" "its log: $([ -n "$daemon" ] && echo "$log" || echo journalctl -u docker)"
