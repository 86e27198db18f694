#!/usr/bin/env bash
# Checks the chart and the examples: helm lint and Kubernetes' own schemas, with the default and with other values.
# The schemas come from a real API server (started once, then cached), so nothing is fetched from the internet.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${SAM2_TRACKER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sam2-tracker-operator}
chart=charts/sam2-tracker-operator
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Nothing of the user's own helm.
export HELM_CONFIG_HOME=$work/helm HELM_CACHE_HOME=$work/helm HELM_DATA_HOME=$work/helm

python -m tests.cluster build helm kubeconform
schemas=$cache/schemas/$(python -c 'from tests.cluster.binaries import KUBERNETES_VERSION; print(KUBERNETES_VERSION)')
if [ ! -d "$schemas" ]; then
  rm -rf "$schemas.part"
  python -m tests.cluster schemas "$schemas.part"
  mv "$schemas.part" "$schemas"
fi
python -m tests.chart.crd_schema "$work/crds"

conforms() {
  "$cache/bin/kubeconform" -strict -summary \
    -schema-location "$schemas/{{ .ResourceKind }}{{ .KindSuffix }}.json" \
    -schema-location "$work/crds/{{ .Group }}/{{ .ResourceKind }}_{{ .ResourceAPIVersion }}.json" "$@"
}

status=0
if ! diff -rq crds $chart/crds; then
  echo "chart: $chart/crds differs from crds: run make generate" >&2
  status=1
fi
for values in $chart/values.yaml tests/chart/values/*.yaml; do
  echo "-- $values"
  "$cache/bin/helm" lint --strict --quiet --values "$values" $chart || status=1
  # The Prometheus operator's kind is not the API server's.
  "$cache/bin/helm" template sam2-tracker $chart --namespace cvat --include-crds --values "$values" |
    conforms -skip ServiceMonitor - || status=1
done
echo "-- examples"
conforms examples/*.yaml || status=1
exit $status
