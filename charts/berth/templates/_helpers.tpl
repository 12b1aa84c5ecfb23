{{/* Labels that select an object's pods: (dict "context" $ "component" "agent"). */}}
{{- define "berth.selector" -}}
app.kubernetes.io/name: berth
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Labels of every object. */}}
{{- define "berth.labels" -}}
{{ include "berth.selector" . }}
app.kubernetes.io/version: {{ .context.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .context.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .context.Chart.Name .context.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* name, namespace and labels: (dict "context" $ "component" "agent" "name" "berth"). */}}
{{- define "berth.metadata" -}}
name: {{ .name }}
namespace: {{ .context.Release.Namespace }}
labels:
  {{- include "berth.labels" . | nindent 2 }}
{{- end }}

{{/* The same of what is in no namespace. */}}
{{- define "berth.clusterMetadata" -}}
name: {{ .name }}
labels:
  {{- include "berth.labels" . | nindent 2 }}
{{- end }}

{{- define "berth.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end }}

{{/* One key of a configuration: a whole number as such (Helm reads numbers as floats), all else as text. */}}
{{- define "berth.value" -}}
{{ if kindIs "float64" . }}{{ int64 . }}{{ else }}{{ . | quote }}{{ end }}
{{- end }}

{{/* Whether a value that may be `auto` is on: where the server has ValidatingAdmissionPolicies. Answers "true" or "". */}}
{{- define "berth.policies" -}}
{{- if eq (toString .value) "auto" -}}
{{- if semverCompare ">=1.30.0-0" .context.Capabilities.KubeVersion.Version }}true{{ end -}}
{{- else if eq (toString .value) "true" -}}
true
{{- end -}}
{{- end }}

{{/* The level of namespaces without the label. */}}
{{- define "berth.unlabelled" -}}
{{ index .Values.agent.config "pod-security-default" | default "privileged" }}
{{- end }}

{{/* A file of objects that src/api has generated, with our labels, and with the annotations of "annotations". */}}
{{- define "berth.generated" -}}
{{- $metadata := printf "\nmetadata:\n  labels:\n    %s" (include "berth.labels" . | indent 4 | trim) -}}
{{- if .annotations -}}
{{- $metadata = printf "%s\n  annotations:\n    %s" $metadata .annotations -}}
{{- end -}}
{{- .context.Files.Get .file | replace "\nmetadata:" $metadata -}}
{{- end }}

{{/* A container that may do nothing but talk to the API server. */}}
{{- define "berth.confined" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Takes from a CRD, in place, what servers that are older than it would refuse: the agents check by themselves. */}}
{{- define "berth.forOlder" -}}
{{- $node := .node -}}
{{- if kindIs "map" $node -}}
{{- if semverCompare "<1.25.0-0" .version }}{{ $_ := unset $node "x-kubernetes-validations" }}{{ end -}}
{{- $_ := unset $node "selectableFields" -}}
{{- range $node }}{{ include "berth.forOlder" (dict "node" . "version" $.version) }}{{ end -}}
{{- else if kindIs "slice" $node -}}
{{- range $node }}{{ include "berth.forOlder" (dict "node" . "version" $.version) }}{{ end -}}
{{- end -}}
{{- end }}
