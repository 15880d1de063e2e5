#!/var/okteto/bin/busybox sh
# The dev container's command: puts the secrets where they belong and becomes the
# supervisor. It uses nothing of the dev image, not even a shell or /tmp: every
# program is the busybox beside it.
#
#   -r      also run the SSH server
#   -e      drop the sync database first
#   -v      log at debug level
#   -d      write the registry credentials of the environment for docker
#   -s F:D  copy the secret F to D; repeatable
set -eu

bin=${0%/*}
secrets=/var/okteto/secret
sync_home=/var/syncthing
cloudbin=/var/okteto/cloudbin
user_bin=/usr/local/bin

bb() { "$bin/busybox" "$@"; }

uid=$(bb id -u)
# The CLI reads this: it must be the first line of the log, exactly so.
echo "USER:$uid"

log() { echo "$(bb date +%Y-%m-%dT%H:%M:%S) $*"; }
warn() { log "WARN $*" >&2; }
fail() {
  log "ERROR $*" >&2
  exit 1
}

inherited_umask=$(umask)
umask 077

# parents DIR MASK: makes a directory and what is above it.
parents() { (umask "$2" && bb mkdir -p "$1"); }

# place SOURCE DEST MODE: puts a copy at DEST in one step, whatever was there,
# so that nobody ever reads half of it and no link is followed. A DEST that
# cannot be replaced, as a mounted file, is written into.
place() {
  temporary=${2%/*}/.okteto-$$-${2##*/}
  if bb cp "$1" "$temporary" 2>/dev/null && bb chmod "$3" "$temporary" && bb mv -T -f "$temporary" "$2" 2>/dev/null; then
    return
  fi
  bb rm -f "$temporary"
  [ ! -d "$2" ] && bb cp "$1" "$2" && { bb chmod "$3" "$2" || true; }
}

# private_mode FILE: what the owner may do with FILE, and nobody else.
private_mode() {
  if [ -x "$1" ]; then echo 0700; else echo 0600; fi
}

remote='' reset='' verbose=--verbose=false docker='' pairs='' ignores=0 mismatch=''
newline='
'
# First pass: everything is checked before anything is changed.
while getopts :revds: flag; do
  case $flag in
    r) remote=--remote ;;
    e) reset=--reset ;;
    v) verbose=--verbose=true ;;
    d) docker=1 ;;
    s)
      case $OPTARG in
        ?*:/?*) ;;
        *) fail "-s $OPTARG: want FILE:/absolute/destination" ;;
      esac
      file=${OPTARG%%:*}
      case $file in
        .stignore-*)
          ignores=$((ignores + 1))
          [ -f "$secrets/$file" ] || mismatch=1
          ;;
      esac
      pairs=$pairs$OPTARG$newline
      ;;
    :) fail "-$OPTARG needs an argument" ;;
    *) fail "Invalid option: -$OPTARG" ;;
  esac
done
shift $((OPTIND - 1))
[ $# -eq 0 ] || fail "unexpected argument: $1"

# nth_ignore N: the name of the Nth ignore file of the secret, by number. The
# original CLI numbers the flags by folder and the files by how many there are,
# which differ when a folder has no ignore file: then the order is what counts.
nth_ignore() {
  # shellcheck disable=SC2012 # the names are .stignore- and a number
  bb ls -A "$secrets" 2>/dev/null | bb sed -n 's/^\.stignore-\([0-9][0-9]*\)$/\1/p' | bb sort -n | bb sed -n "$1p"
}

# secret FILE DEST: one -s flag.
secret() {
  source=$secrets/$1
  case $1 in
    .stignore-*)
      nth=$((nth + 1))
      if [ -n "$mismatch" ]; then
        number=$(nth_ignore "$nth")
        source=$secrets/.stignore-$number
        [ -n "$number" ] && [ ".stignore-$number" != "$1" ] && log "INFO using .stignore-$number for $1"
      fi
      if [ ! -f "$source" ]; then
        warn "there is no $1 in $secrets: $2 is not written"
        return 0
      fi
      # The folder is the user's: it gets usual modes.
      parents "${2%/*}" 022 || { warn "cannot make ${2%/*}: $2 is not written"; return 0; }
      place "$source" "$2" 0644 || warn "cannot write $2"
      ;;
    *)
      [ "$source" = "$2" ] && return
      [ -f "$source" ] || fail "there is no secret $1 in $secrets; run 'okteto down' and 'okteto up' again"
      parents "${2%/*}" 077 || fail "cannot make ${2%/*} for the secret $1 as user $uid; give it a volume or another path"
      place "$source" "$2" "$(private_mode "$source")" || fail "cannot write the secret $1 to $2 as user $uid"
      ;;
  esac
}

# docker_login writes what `docker login` would.
docker_login() {
  folder=${DOCKER_CONFIG:-${HOME:-/}/.docker}
  [ -e "$folder/config.json" ] && return
  [ -n "${OKTETO_REGISTRY_URL:-}" ] || return 0
  auth=$(printf '%s' "${OKTETO_USERNAME:-}:${OKTETO_TOKEN:-}" | bb base64 | bb tr -d '\n')
  { bb mkdir -p "$folder" &&
    printf '{"auths":{"%s":{"auth":"%s"}}}\n' "$OKTETO_REGISTRY_URL" "$auth" >"$folder/config.json"; } 2>/dev/null ||
    warn "cannot write $folder/config.json"
}

# Programs that the cluster's operator offers to every dev container.
if [ -d "$cloudbin" ] && [ -w "$user_bin" ]; then
  bb cp "$cloudbin"/* "$user_bin" 2>/dev/null || warn "not everything in $cloudbin could be copied to $user_bin"
fi

# Whoever could write here could log in, or read the files. The group stays: on a
# volume it is fsGroup, by which the next user may be another.
for folder in /var/okteto/remote "$sync_home"; do
  [ ! -d "$folder" ] || bb chmod o-rwx "$folder" 2>/dev/null || true
done

# Here the secrets leave their mount; the agents read only the copies.
nth=0
while [ -n "$pairs" ]; do
  pair=${pairs%%"$newline"*}
  pairs=${pairs#*"$newline"}
  destination=${pair#*:}
  secret "${pair%%:*}" "${destination%%:*}"
done

if [ -d "$sync_home/secret" ]; then
  for source in "$sync_home"/secret/*; do
    [ -f "$source" ] || continue
    place "$source" "$sync_home/${source##*/}" 0600 ||
      fail "cannot write $sync_home/${source##*/} as user $uid; if the volume belongs to another user, set securityContext.runAsUser and fsGroup"
  done
else
  warn "there is no $sync_home/secret: the sync configuration in $sync_home is used as it is"
fi

[ -z "$docker" ] || docker_login

umask "$inherited_umask"
# shellcheck disable=SC2086 # empty flags must vanish
exec "$bin/okteto-supervisor" $remote $reset "$verbose"
