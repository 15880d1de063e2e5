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
owner_hint='if the volume belongs to another user, set securityContext.runAsUser and fsGroup'

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

# The first process of a container ends on no signal that it does not catch.
trap 'exit 143' TERM
trap 'exit 130' INT
trap 'exit 131' QUIT

inherited_umask=$(umask)
umask 077

# parents DIR MASK: makes a directory and what is above it.
parents() { (umask "$2" && bb mkdir -p "$1"); }

# place SOURCE DEST MODE: puts a copy at DEST in one step, whatever was there,
# so that nobody ever reads half of it and no link is followed. A DEST that
# cannot be replaced, as a mounted file, is written into. On failure, reason says
# why, and full is set if there was no room: then DEST is as it was before.
place() {
  full=''
  # A full disk has no room for a second copy of what is there already.
  [ ! -h "$2" ] && bb cmp -s "$1" "$2" && bb chmod "$3" "$2" 2>/dev/null && return
  temporary=${2%/*}/.okteto-$$-${2##*/}
  bb rm -f "$temporary" 2>/dev/null
  if (: >"$temporary") 2>/dev/null; then
    if ! reason=$(bb cp "$1" "$temporary" 2>&1); then
      bb rm -f "$temporary"
      full=1
      return 1
    fi
    bb chmod "$3" "$temporary" && bb mv -T -f "$temporary" "$2" 2>/dev/null && return
    bb rm -f "$temporary"
  fi
  reason="$2 is a directory"
  [ ! -d "$2" ] && reason=$(bb cp "$1" "$2" 2>&1) && { bb chmod "$3" "$2" || true; }
}

# stays DEST: there was no room for the new content, and the old one will do.
stays() { [ -n "$full" ] && [ -s "$1" ] && warn "$1 stays as it was: $reason"; }

# secret_mode FILE DEST: what the owner may do with FILE, and nobody else. But a mode
# that lets everybody read it, and is not the CLI's default, was asked for: programs
# of another user are to read it.
secret_mode() {
  case $2 in /var/okteto/remote/*) echo 0600 && return ;; esac
  mode=$(bb stat -L -c %04a "$1")
  case $mode in
    0644 | ?4?0 | ?6?0) ;;
    *0) echo 0700 && return ;;
    *) echo "$mode" && return ;;
  esac
  case $mode in ?4??) echo 0400 ;; *) echo 0600 ;; esac
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
      place "$source" "$2" 0644 || warn "cannot write $2: $reason"
      ;;
    *)
      [ "$source" = "$2" ] && return
      [ -f "$source" ] || fail "there is no secret $1 in $secrets; run 'okteto down' and 'okteto up' again"
      mode=$(secret_mode "$source" "$2")
      # Whoever may read the file is to reach it, too.
      case $mode in *0) mask=077 ;; *) mask=022 ;; esac
      parents "${2%/*}" "$mask" || fail "cannot make ${2%/*} for the secret $1 as user $uid; give it a volume or another path"
      place "$source" "$2" "$mode" || stays "$2" ||
        fail "cannot write the secret $1 to $2 as user $uid: $reason; $owner_hint"
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
    place "$source" "$sync_home/${source##*/}" 0600 && continue
    # Without room the supervisor tries again, and whoever logs in can make some.
    [ -n "$full" ] && warn "cannot write $sync_home/${source##*/}: $reason" && continue
    fail "cannot write $sync_home/${source##*/} as user $uid: $reason; $owner_hint"
  done
else
  warn "there is no $sync_home/secret: the sync configuration in $sync_home is used as it is"
fi

[ -z "$docker" ] || docker_login

# A shell drops variables whose names are none to it (spring.profiles.active), and
# exports its own where the container has some of the same name. So the supervisor
# gets the environment as Kubernetes gave it to this process, through a pipe. Go's
# settings in it are for the user's program, and would change the supervisor.
umask "$inherited_umask"
unset GOGC GOMEMLIMIT GOMAXPROCS GODEBUG GOTRACEBACK
# shellcheck disable=SC2086 # empty flags must vanish
OKTETO_START_ENVIRON=3 exec "$bin/okteto-supervisor" $remote $reset "$verbose" 3<<EOF
$(bb base64 "/proc/$$/environ" 2>/dev/null || echo "not readable")
EOF
