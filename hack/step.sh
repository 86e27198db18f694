#!/usr/bin/env bash
# Runs a command under a title, and says how long it took and whether it succeeded.
set -uo pipefail
title=$1
shift
printf '== %s\n' "$title"
started=$SECONDS
"$@"
status=$?
if [ "$status" = 0 ]; then word=ok; else word="FAILED (exit status $status)"; fi
printf '== %s: %s, %d s\n' "$title" "$word" "$((SECONDS - started))"
exit "$status"
