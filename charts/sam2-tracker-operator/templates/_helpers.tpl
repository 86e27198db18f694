{{/* The base of all names. 40 characters leave room for every suffix. */}}
{{- define "sam2.name" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "sam2.operator.name" -}}
{{- $name := include "sam2.name" . -}}
{{- if hasSuffix "operator" $name -}}{{ $name }}{{- else -}}{{ $name }}-operator{{- end -}}
{{- end -}}

{{- define "sam2.redis.name" -}}
{{ include "sam2.name" . }}-redis
{{- end -}}

{{/* Cluster-wide objects carry the namespace: two releases of one name may stand in two namespaces. */}}
{{- define "sam2.operator.clusterName" -}}
{{ include "sam2.operator.name" . }}:{{ .Release.Namespace }}
{{- end -}}

{{- define "sam2.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: {{ .Chart.Name }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "sam2.operator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "sam2.redis.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: redis
{{- end -}}

{{- define "sam2.gateway.name" -}}
{{ include "sam2.name" . }}-gateway
{{- end -}}

{{- define "sam2.gateway.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: gateway
{{- end -}}

{{- define "sam2.gateway.secretName" -}}
{{- default (include "sam2.gateway.name" .) .Values.gateway.existingSecret -}}
{{- end -}}

{{- define "sam2.hook.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: hook
{{- end -}}

{{/* The reference of an image. Takes a list of the image's values and the default tag. */}}
{{- define "sam2.image" -}}
{{- $image := index . 0 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default (index . 1) $image.tag }}
{{- end -}}
{{- end -}}

{{- define "sam2.operator.image" -}}
{{ include "sam2.image" (list .Values.operator.image .Chart.AppVersion) }}
{{- end -}}

{{- define "sam2.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Where pods go. Takes the values of a component. */}}
{{- define "sam2.placement" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The Pod Security Standard "restricted", and a read-only root. */}}
{{- define "sam2.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "sam2.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "sam2.redis.url" -}}
{{- if .Values.redis.enabled -}}
redis://admin@{{ include "sam2.redis.name" . }}.{{ .Release.Namespace }}.svc:6379/0
{{- else -}}
{{ .Values.redis.url }}
{{- end -}}
{{- end -}}

{{- define "sam2.redis.secretName" -}}
{{- default (include "sam2.redis.name" .) .Values.redis.existingSecret -}}
{{- end -}}

{{/* A quantity of memory in bytes. */}}
{{- define "sam2.bytes" -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000
      "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $quantity := toString . -}}
{{- mulf (regexFind "^[0-9.]+" $quantity | float64) (get $units (regexFind "[a-zA-Z]*$" $quantity)) | floor | int64 -}}
{{- end -}}

{{- define "sam2.redis.maxmemory" -}}
{{- div (mul (include "sam2.bytes" .Values.redis.resources.limits.memory | int64) .Values.redis.maxMemoryPercent) 100 -}}
{{- end -}}

{{/* Environment that the operator and its hooks share. */}}
{{- define "sam2.scopeEnv" -}}
- name: SAM2_OPERATOR_NAMESPACES
  value: {{ join "," .Values.namespaces | quote }}
- name: SAM2_OPERATOR_LOG_FORMAT
  value: {{ .Values.operator.logFormat }}
- name: SAM2_OPERATOR_LOG_LEVEL
  value: {{ .Values.operator.logLevel }}
{{- end -}}

{{/* Where the default Redis is. Whatever is secret is a file: environment shows in dumps and crash reports. */}}
{{- define "sam2.redisEnv" -}}
{{- $folder := "/var/run/secrets/sam2-operator/redis" -}}
{{- if or .Values.redis.enabled .Values.redis.url -}}
- name: SAM2_OPERATOR_REDIS_URL
  value: {{ include "sam2.redis.url" . }}
{{- else -}}
- name: SAM2_OPERATOR_REDIS_URL_FILE
  value: {{ $folder }}/url
{{- end }}
{{- if .Values.redis.enabled }}
- name: SAM2_OPERATOR_REDIS_PASSWORD_FILE
  value: {{ $folder }}/password
{{- end }}
{{- if .Values.redis.caSecret }}
- name: SAM2_OPERATOR_REDIS_CA_FILE
  value: {{ $folder }}/ca.crt
{{- end }}
- name: SAM2_OPERATOR_REDIS_MANAGE_USERS
  value: {{ or .Values.redis.enabled .Values.redis.manageUsers | quote }}
{{- end -}}

{{/* The Secrets behind those files; empty if there are none. */}}
{{- define "sam2.redis.sources" -}}
{{- if .Values.redis.enabled -}}
- secret:
    name: {{ include "sam2.redis.secretName" . }}
    items:
      - {key: password, path: password}
{{- else if .Values.redis.existingSecret -}}
- secret:
    name: {{ .Values.redis.existingSecret }}
    items:
      - {key: url, path: url}
{{- end }}
{{- with .Values.redis.caSecret }}
- secret:
    name: {{ . }}
    items:
      - {key: ca.crt, path: ca.crt}
{{- end }}
{{- end -}}
