#!/bin/bash
# Installs the Debian packages that the build, the tests and the test cluster
# need, and only those that are missing. Starts no service. Anywhere but on Debian
# as root it says what is missing and lets the caller go on if the tools are there.
set -euo pipefail

# has PATH...: true if one of these commands is installed.
has() {
  local command
  for command; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$command" >/dev/null && return
  done
  return 1
}

missing=()
# need PACKAGE COMMAND: what the command is for is said where it is used.
need() { has "$2" || missing+=("$1"); }

need ca-certificates update-ca-certificates
need git git
need make make
need gcc gcc # go test -race
need shellcheck shellcheck
need python3 python3
need rsync rsync
need openssh-client ssh
need openssh-client ssh-keygen
need openssh-server sshd # the reference that the SSH server is compared with
need prometheus promtool
need prometheus prometheus
need procps ps
need busybox-static busybox # what the agents run on in the tests
need iproute2 ip
if ! docker info >/dev/null 2>&1; then
  need docker.io docker
  need docker.io dockerd
  need iptables iptables
  # Where the kernel has AppArmor, Docker starts no container without its parser.
  [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" != Y ] || need apparmor apparmor_parser
fi
# The node image is made from Debian's packages where no registry can be reached.
[ "${OKTETO_E2E_OFFLINE:-}" = 0 ] || need mmdebstrap mmdebstrap
[ "$(uname)" != Linux ] || [ -e /usr/include/stdlib.h ] || missing+=(libc6-dev)

# sshd, which no service starts here, wants this folder (Debian's privilege
# separation directory), and a boot removes it.
[ "$(id -u)" != 0 ] || [ "$(uname)" != Linux ] || mkdir -p /run/sshd

mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sed '/^$/d' | sort -u)
[ "${#missing[@]}" -gt 0 ] || exit 0

if ! has apt-get dpkg || [ "$(id -u)" != 0 ]; then
  echo "missing programs, by the names of their Debian packages: ${missing[*]}" >&2
  has apt-get && echo "install them with: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
  # mmdebstrap is for machines without a registry only, where its use will say so.
  [ "${missing[*]}" = mmdebstrap ] && exit 0
  exit 1
fi

# Packages start their services unless this file says no (Debian Policy 9.3.3).
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod 755 $policy
  trap 'rm -f $policy' EXIT
fi
echo "installing ${missing[*]}"
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
{ apt-get update -q && apt-get install -y -q --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null || {
  cat "$log" >&2
  exit 1
}
rm -f "$log"
# They are here for their programs: the next boot is not to start them either.
disable() { # PACKAGE SERVICE
  case " ${missing[*]} " in
    *" $1 "*) if has systemctl; then systemctl disable "$2" >/dev/null 2>&1 || true; fi ;;
  esac
}
disable openssh-server ssh
disable prometheus prometheus
