{{/* What the operator may do, in the whole cluster or in each of its namespaces; tests/chart/test_rights.py uses each. */}}
{{- define "sam2.operator.rules" -}}
# Trackers: watch them, set the finalizer, write the status.
- apiGroups: [sam2.dev]
  resources: [sam2trackers]
  verbs: [get, list, watch, patch]
- apiGroups: [sam2.dev]
  resources: [sam2trackers/status]
  verbs: [update]
# The agent: made and changed by server-side apply, which is a create where there is nothing yet.
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, create, patch]
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get, create, patch]
# The volume for weights.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, create, patch, delete]
# Credentials that trackers name are read; the URL of each tracker's user of Redis is written.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch, delete]
{{- if .Values.gateway.enabled }}
# Where the gateway finds the agents of serverless trackers.
- apiGroups: [""]
  resources: [services]
  verbs: [get, create, patch]
{{- end }}
# Certificates that trackers name.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
# The agent's pod: why it does not run, and its replacement when it is of an old revision or on a lost node.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, delete]
# Transitions are told; why a pod could not be made is read.
- apiGroups: [""]
  resources: [events]
  verbs: [create, list]
{{- end -}}
