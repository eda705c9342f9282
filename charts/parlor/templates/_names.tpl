{{- /* The name of all that the chart makes. */}}
{{- define "parlor.name" -}}
{{ .Values.nameOverride | default .Release.Name | trunc 50 | trimSuffix "-" }}-operator
{{- end }}

{{- /* Labels that select the operator's pods; the NetworkPolicies of every ChatRoom let pods of this name through. */}}
{{- define "parlor.selector" -}}
app.kubernetes.io/name: parlor-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "parlor.labels" -}}
{{ include "parlor.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* An image's full name: (list . image). */}}
{{- define "parlor.image" -}}
{{- $root := first . }}{{- $image := last . }}
{{- $global := $root.Values.global | default dict }}
{{- with $root.Values.image.registry | default $global.imageRegistry }}{{ . }}/{{ end }}
{{- $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default $root.Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "parlor.gatewayImage" -}}
{{ include "parlor.image" (list . .Values.gateway.image) }}
{{- end }}

{{- define "parlor.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* What restricted pod security asks of a pod. */}}
{{- define "parlor.podSecurity" -}}
runAsNonRoot: true
{{- if not .Values.noFixedUsers }}
runAsUser: 65532
runAsGroup: 65532
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- /* What restricted pod security asks of a container, and a root file system that nobody writes to. */}}
{{- define "parlor.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
