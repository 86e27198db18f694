{{/*
A hook: an account, its rights and a Job that runs a subcommand of the operator's image; all gone after success.
Takes a dict: root, name (suffix), events, rules (of a role), namespaces (none: a ClusterRole), args, retries, deadline in seconds.
*/}}
{{- define "sam2.hook" -}}
{{- $root := .root }}
{{- $name := printf "%s-%s" (include "sam2.operator.name" $root) .name }}
{{- $clusterName := printf "%s:%s" (include "sam2.operator.clusterName" $root) .name }}
{{- $labels := printf "%s\n%s" (include "sam2.hook.selector" $root) (include "sam2.labels" $root) }}
{{- $annotations := dict "helm.sh/hook" .events "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded" }}
{{- $first := toYaml (merge (dict "helm.sh/hook-weight" "-10") $annotations) }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- $labels | nindent 4 }}
  annotations:
    {{- $first | nindent 4 }}
automountServiceAccountToken: false
{{- $rules := .rules }}
{{- range default (list "") .namespaces }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ ternary "Role" "ClusterRole" (ne . "") }}
metadata:
  name: {{ ternary $name $clusterName (ne . "") }}
  {{- with . }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- $labels | nindent 4 }}
  annotations:
    {{- $first | nindent 4 }}
rules:
  {{- $rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ ternary "RoleBinding" "ClusterRoleBinding" (ne . "") }}
metadata:
  name: {{ ternary $name $clusterName (ne . "") }}
  {{- with . }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- $labels | nindent 4 }}
  annotations:
    {{- $first | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ ternary "Role" "ClusterRole" (ne . "") }}
  name: {{ ternary $name $clusterName (ne . "") }}
subjects:
  - kind: ServiceAccount
    name: {{ $name }}
    namespace: {{ $root.Release.Namespace }}
{{- end }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- $labels | nindent 4 }}
  annotations:
    {{- toYaml $annotations | nindent 4 }}
spec:
  backoffLimit: {{ .retries }}
  activeDeadlineSeconds: {{ .deadline }}
  template:
    metadata:
      labels:
        {{- include "sam2.hook.selector" $root | nindent 8 }}
        {{- with $root.Values.commonLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      restartPolicy: Never
      serviceAccountName: {{ $name }}
      automountServiceAccountToken: true
      enableServiceLinks: false
      {{- include "sam2.pullSecrets" $root | nindent 6 }}
      {{- include "sam2.placement" $root.Values.operator | nindent 6 }}
      securityContext:
        {{- include "sam2.podSecurityContext" 65532 | nindent 8 }}
      containers:
        - name: {{ .name }}
          image: {{ include "sam2.operator.image" $root }}
          imagePullPolicy: {{ $root.Values.operator.image.pullPolicy }}
          args: {{ toJson .args }}
          env:
            {{- include "sam2.scopeEnv" $root | nindent 12 }}
          # Its last words stand in the pod's status, and so in the reason of a failed hook.
          terminationMessagePolicy: FallbackToLogsOnError
          securityContext:
            {{- include "sam2.containerSecurityContext" $root | nindent 12 }}
          resources:
            requests: {cpu: 50m, memory: 96Mi}
            limits: {memory: 256Mi}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
      volumes:
        - name: tmp
          emptyDir: {sizeLimit: 64Mi}
{{- end -}}
