{{/* What several templates need: labels, images, and what a platform asks for. */}}

{{/* Labels of every object. */}}
{{- define "ambit.labels" -}}
app.kubernetes.io/part-of: ambit
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{/* Labels of pods that are never enrolled and get no sidecar. */}}
{{- define "ambit.outOfMesh" -}}
app.kubernetes.io/part-of: ambit
istio.io/dataplane-mode: none
sidecar.istio.io/inject: "false"
{{- end }}

{{/* The image of a part: a list of the root context and the part's value `image`. */}}
{{- define "ambit.image" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- if contains "/" $name -}}
{{ $name | quote }}
{{- else -}}
{{ printf "%s/%s:%s" $root.Values.global.hub $name ($root.Values.global.tag | default $root.Chart.AppVersion) | quote }}
{{- end -}}
{{- end }}

{{/* How images are fetched, at the indentation of a pod's spec. */}}
{{- define "ambit.pullSecrets" -}}
{{- with .Values.global.imagePullSecrets -}}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* Where istiod is reached. */}}
{{- define "ambit.istiodAddress" -}}
istiod.{{ .Release.Namespace }}.svc:15012
{{- end }}

{{/* Refuses variables that are set already, since Kubernetes does not take one twice: a list of the value's name, its map, and the names that are taken. */}}
{{- define "ambit.notTaken" -}}
{{- $path := index . 0 -}}
{{- $taken := index . 2 -}}
{{- range $name, $_ := index . 1 -}}
{{- if has $name $taken -}}
{{- fail (printf "%s.%s: the chart sets %s itself, and a variable cannot be there twice; use the value that it comes from" $path $name $name) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Variables of a map in the order of their names, after those that a container has: a list of the value's name, its map, and the container's own as YAML. */}}
{{- define "ambit.moreEnv" -}}
{{- $taken := list -}}
{{- range index . 2 | fromYamlArray -}}
{{- $taken = append $taken .name -}}
{{- end -}}
{{- include "ambit.notTaken" (list (index . 0) (index . 1) $taken) -}}
{{- range $name, $value := index . 1 -}}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{ end }}
{{- end }}

{{/* What pods of waypoints get, as istiod reads it: JSON. */}}
{{- define "ambit.waypointPod" -}}
{{- $pod := dict "affinity" .Values.global.waypoint.affinity -}}
{{- $_ := set $pod "autoscaleCpu" .Values.global.waypoint.autoscaleCpu -}}
{{- $_ := set $pod "autoscaleMax" .Values.global.waypoint.autoscaleMax -}}
{{- $_ := set $pod "autoscaleMin" .Values.global.waypoint.autoscaleMin -}}
{{- $_ := set $pod "env" .Values.global.waypoint.env -}}
{{- $_ := set $pod "imagePullPolicy" .Values.global.imagePullPolicy -}}
{{- $_ := set $pod "imagePullSecrets" .Values.global.imagePullSecrets -}}
{{- $_ := set $pod "logAsJson" .Values.global.logAsJson -}}
{{- $_ := set $pod "logLevel" .Values.global.waypoint.logLevel -}}
{{- $_ := set $pod "nodeSelector" .Values.global.waypoint.nodeSelector -}}
{{- $_ := set $pod "resources" .Values.global.waypoint.resources -}}
{{- $_ := set $pod "terminationGracePeriodSeconds" .Values.global.waypoint.terminationGracePeriodSeconds -}}
{{- $_ := set $pod "tolerations" .Values.global.waypoint.tolerations -}}
{{- $_ := set $pod "topologySpreadConstraints" .Values.global.waypoint.topologySpreadConstraints -}}
{{ toJson $pod }}
{{- end }}

{{/* Folders of the node and SELinux options by platform, as YAML; what is not named is as upstream Kubernetes has it. */}}
{{- define "ambit.platforms" -}}
gke:
  cniBinDir: /home/kubernetes/bin
k3d:
  cniBinDir: /bin
  cniConfDir: /var/lib/rancher/k3s/agent/etc/cni/net.d
k3s:
  cniBinDir: /var/lib/rancher/k3s/data/cni
  cniConfDir: /var/lib/rancher/k3s/agent/etc/cni/net.d
microk8s:
  cniBinDir: /var/snap/microk8s/current/opt/cni/bin
  cniConfDir: /var/snap/microk8s/current/args/cni-network
minikube:
  cniNetnsDir: /var/run/docker/netns
openshift:
  cniBinDir: /var/lib/cni/bin
  cniConfDir: /etc/cni/multus/net.d
  cniConfFileName: istio-cni.conf
  seLinuxOptions:
    type: spc_t
{{- end }}

{{/* The same for the platform of the values, over the defaults. */}}
{{- define "ambit.platform" -}}
{{- $defaults := dict "cniBinDir" "/opt/cni/bin" "cniConfDir" "/etc/cni/net.d" "cniNetnsDir" "/var/run/netns" "cniConfFileName" "" "seLinuxOptions" dict -}}
{{- $own := get (include "ambit.platforms" . | fromYaml) .Values.global.platform | default dict -}}
{{ merge dict $own $defaults | toYaml }}
{{- end }}

{{/* What the chart itself tells the node agent. */}}
{{- define "ambit.cniOwnConfig" -}}
{{- $platform := include "ambit.platform" . | fromYaml -}}
AMBIENT_ENABLED: {{ .Values.cni.ambient.enabled | quote }}
AMBIENT_ENABLEMENT_SELECTOR: |
  {{- toYaml .Values.cni.ambient.enablementSelectors | nindent 2 }}
AMBIENT_DNS_CAPTURE: {{ .Values.cni.ambient.dnsCapture | quote }}
AMBIENT_IPV6: {{ .Values.cni.ambient.ipv6 | quote }}
AMBIENT_RECONCILE_POD_RULES_ON_STARTUP: {{ .Values.cni.ambient.reconcileIptablesOnStartup | quote }}
CHAINED_CNI_PLUGIN: {{ and .Values.cni.chained (ne .Values.global.platform "openshift") | quote }}
CNI_CONF_NAME: {{ .Values.cni.cniConfFileName | default $platform.cniConfFileName | quote }}
EXCLUDE_NAMESPACES: {{ .Values.cni.excludeNamespaces | join "," | quote }}
ISTIO_OWNED_CNI_CONFIG: {{ .Values.cni.istioOwnedCNIConfig | quote }}
ISTIO_OWNED_CNI_CONFIG_FILENAME: {{ .Values.cni.istioOwnedCNIConfigFileName | quote }}
NATIVE_NFTABLES: {{ .Values.global.nativeNftables | quote }}
{{- end }}

{{/* What the node agent is told: the data of ConfigMap istio-cni-config. */}}
{{- define "ambit.cniConfig" -}}
{{- $own := include "ambit.cniOwnConfig" . -}}
{{- $taken := keys ($own | fromYaml) -}}
{{- range include "ambit.cniEnv" . | fromYamlArray -}}
{{- $taken = append $taken .name -}}
{{- end -}}
{{- include "ambit.notTaken" (list "cni.env" .Values.cni.env $taken) -}}
{{ $own }}
{{- range $name, $value := .Values.cni.env }}
{{ $name }}: {{ $value | toString | quote }}
{{- end }}
{{- end }}
