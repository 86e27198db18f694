#!/bin/sh
# Writes the chart's own users into Redis's ACL file and keeps those that the operator added.
#   init-acl.sh PASSWORD_FILE ACL_FILE
# The file gets a digest of the administrator's password; the password itself is in no argument and no variable that is
# exported. `health` may only PING: the probes use it without a secret.
set -eu
umask 077
password=$(cat "$1")
acl=$2
if [ -z "$password" ]; then
  echo "init-acl: the Redis administrator's password is empty: give the Secret's key password a value" >&2
  exit 1
fi
digest=$(printf '%s' "$password" | sha256sum | cut -d ' ' -f 1)
{
  echo 'user default off resetpass resetkeys resetchannels -@all'
  echo "user admin on #$digest ~* &* +@all"
  echo 'user health on nopass resetkeys resetchannels -@all +ping'
  if [ -e "$acl" ]; then
    grep -v -E '^(user (default|admin|health) |[[:space:]]*$)' "$acl" || [ $? -eq 1 ]
  fi
} >"$acl.new"
mv "$acl.new" "$acl"
