#!/usr/bin/env bash
# Installs the Debian packages that the cluster, the images and the tests need; does nothing when all are there.
set -euo pipefail
packages=(
  ca-certificates git python3 python3-venv         # everything
  redis-server                                     # the agent's tests, and the cluster's Redis image
  iproute2 iptables conntrack procps util-linux    # nodes in network namespaces
  containerd runc containernetworking-plugins      # pods
  buildah skopeo debootstrap                       # images
)
# Whatever Go there is will do: an old one fetches a current one.
command -v go >/dev/null || packages+=(golang-go)
missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
echo "[apt] installing ${missing[*]}"
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
install() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$log" 2>&1; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Package lists may be absent or old: only then are they fetched.
install || { "${as_root[@]}" apt-get update -qq && install; } || { cat "$log" >&2; exit 1; }
echo "[apt] done in ${SECONDS}s"
