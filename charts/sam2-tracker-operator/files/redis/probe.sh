#!/bin/sh
# probe.sh live: Redis answers, if only that it is still loading. probe.sh ready: it serves.
# `health` takes any password; giving it by the environment keeps redis-cli from warning on each probe.
answer=$(REDISCLI_AUTH=none redis-cli --user health ping) || exit 1
[ "$1" = live ] || [ "$answer" = PONG ]
