# shellcheck shell=sh
# Runs "$@" (BuildKit) and ends it, with success, when nobody was connected to it
# for IDLE_SECONDS. Any sh with grep will do.
"$@" &
daemon=$!
trap 'kill -TERM "$daemon"' TERM INT
idle=0
while kill -0 "$daemon" 2>/dev/null; do
  sleep 5 &
  wait $! # a signal ends the wait, not the sleep
  # Established (01) connections to 127.0.0.1:1234, in the kernel's spelling.
  if grep -q ': 0100007F:04D2 [0-9A-F:]* 01 ' /proc/net/tcp; then
    idle=0
  else
    idle=$((idle + 5))
  fi
  if [ "$idle" -ge "$IDLE_SECONDS" ]; then
    echo "nobody was connected for $idle s: ending"
    kill -TERM "$daemon"
    wait "$daemon"
    exit 0
  fi
done
wait "$daemon"
