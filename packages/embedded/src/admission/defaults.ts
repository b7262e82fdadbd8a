/** What Kubernetes fills in for built-in kinds, as far as clients and controllers look at it. In place, else pure. */
import {
  ensureObject,
  isObject,
  type Json,
  type JsonObject,
  listAt,
  objectAt,
  setDefault,
  textAt,
} from '../json.ts';
import { type Resource, storageKeyOf } from '../kinds/resource.ts';

type Default = (object: JsonObject) => void;

const DEFAULTS: Readonly<Record<string, Default>> = {
  namespaces: (object) => {
    const spec = ensureObject(object, 'spec');
    setDefault(spec, 'finalizers', ['kubernetes']);
    setDefault(ensureObject(object, 'status'), 'phase', 'Active');
    const name = textAt(object, 'metadata', 'name');
    const metadata = ensureObject(object, 'metadata');
    if (name) ensureObject(metadata, 'labels')['kubernetes.io/metadata.name'] = name;
  },
  pods: (object) => {
    if (isObject(object['spec'])) defaultPodSpec(object['spec']);
    setDefault(ensureObject(object, 'status'), 'phase', 'Pending');
  },
  services: defaultService,
  secrets: (object) => {
    setDefault(object, 'type', 'Opaque');
    const texts = objectAt(object, 'stringData');
    if (Object.keys(texts).length > 0) {
      const data = ensureObject(object, 'data');
      for (const [key, value] of Object.entries(texts))
        data[key] = Buffer.from(String(value)).toString('base64');
    }
    delete object['stringData'];
  },
  endpoints: (object) => {
    for (const subset of listAt(object, 'subsets')) {
      for (const port of listAt(subset, 'ports')) if (isObject(port)) setDefault(port, 'protocol', 'TCP');
    }
  },
  events: (object) => {
    for (const field of ['firstTimestamp', 'lastTimestamp', 'eventTime']) setDefault(object, field, null);
    setDefault(object, 'source', {});
    setDefault(object, 'reportingComponent', '');
    setDefault(object, 'reportingInstance', '');
  },
  nodes: (object) => {
    ensureObject(object, 'spec');
    const status = ensureObject(object, 'status');
    if (isObject(status['capacity'])) setDefault(status, 'allocatable', { ...status['capacity'] });
  },
  'endpointslices.discovery.k8s.io': (object) => {
    setDefault(object, 'ports', []);
    for (const port of listAt(object, 'ports')) {
      if (!isObject(port)) continue;
      setDefault(port, 'name', '');
      setDefault(port, 'protocol', 'TCP');
    }
  },
  'deployments.apps': (object) => {
    const spec = ensureObject(object, 'spec');
    setDefault(spec, 'replicas', 1);
    setDefault(spec, 'revisionHistoryLimit', 10);
    setDefault(spec, 'progressDeadlineSeconds', 600);
    const strategy = ensureObject(spec, 'strategy');
    setDefault(strategy, 'type', 'RollingUpdate');
    if (strategy['type'] === 'RollingUpdate') {
      const rolling = ensureObject(strategy, 'rollingUpdate');
      setDefault(rolling, 'maxUnavailable', '25%');
      setDefault(rolling, 'maxSurge', '25%');
    }
    defaultTemplate(spec);
  },
  'replicasets.apps': (object) => {
    const spec = ensureObject(object, 'spec');
    setDefault(spec, 'replicas', 1);
    defaultTemplate(spec);
  },
  'statefulsets.apps': (object) => {
    const spec = ensureObject(object, 'spec');
    setDefault(spec, 'replicas', 1);
    setDefault(spec, 'revisionHistoryLimit', 10);
    setDefault(spec, 'podManagementPolicy', 'OrderedReady');
    const strategy = ensureObject(spec, 'updateStrategy');
    setDefault(strategy, 'type', 'RollingUpdate');
    if (strategy['type'] === 'RollingUpdate')
      setDefault(ensureObject(strategy, 'rollingUpdate'), 'partition', 0);
    defaultTemplate(spec);
  },
  'daemonsets.apps': (object) => {
    const spec = ensureObject(object, 'spec');
    setDefault(spec, 'revisionHistoryLimit', 10);
    const strategy = ensureObject(spec, 'updateStrategy');
    setDefault(strategy, 'type', 'RollingUpdate');
    if (strategy['type'] === 'RollingUpdate') {
      const rolling = ensureObject(strategy, 'rollingUpdate');
      setDefault(rolling, 'maxUnavailable', 1);
      setDefault(rolling, 'maxSurge', 0);
    }
    defaultTemplate(spec);
  },
  'jobs.batch': (object) => {
    const spec = ensureObject(object, 'spec');
    setDefault(spec, 'backoffLimit', 6);
    setDefault(spec, 'completionMode', 'NonIndexed');
    setDefault(spec, 'suspend', false);
    if (spec['completions'] === undefined && spec['parallelism'] === undefined) spec['completions'] = 1;
    setDefault(spec, 'parallelism', 1);
    defaultTemplate(spec, false);
  },
  'networkpolicies.networking.k8s.io': (object) => {
    const spec = ensureObject(object, 'spec');
    setDefault(spec, 'podSelector', {});
    setDefault(spec, 'policyTypes', spec['egress'] === undefined ? ['Ingress'] : ['Ingress', 'Egress']);
    for (const rule of [...listAt(spec, 'ingress'), ...listAt(spec, 'egress')]) {
      for (const port of listAt(rule, 'ports')) if (isObject(port)) setDefault(port, 'protocol', 'TCP');
    }
  },
  'rolebindings.rbac.authorization.k8s.io': defaultBinding,
  'clusterrolebindings.rbac.authorization.k8s.io': defaultBinding,
  'validatingwebhookconfigurations.admissionregistration.k8s.io': (object) => {
    for (const webhook of listAt(object, 'webhooks')) if (isObject(webhook)) defaultWebhook(webhook);
  },
};

export function defaultBuiltin(resource: Resource, object: JsonObject): void {
  DEFAULTS[storageKeyOf(resource)]?.(object);
}

function defaultTemplate(spec: JsonObject, restartAlways = true): void {
  const template = spec['template'];
  if (!isObject(template)) return;
  const metadata = ensureObject(template, 'metadata');
  setDefault(metadata, 'creationTimestamp', null);
  if (isObject(template['spec'])) defaultPodSpec(template['spec'], restartAlways);
}

export function defaultPodSpec(spec: JsonObject, restartAlways = true): void {
  if (restartAlways) setDefault(spec, 'restartPolicy', 'Always');
  setDefault(spec, 'dnsPolicy', 'ClusterFirst');
  setDefault(spec, 'schedulerName', 'default-scheduler');
  setDefault(spec, 'terminationGracePeriodSeconds', 30);
  setDefault(spec, 'securityContext', {});
  if (typeof spec['serviceAccountName'] === 'string' && spec['serviceAccountName'] !== '') {
    spec['serviceAccount'] = spec['serviceAccountName'];
  } else if (typeof spec['serviceAccount'] === 'string' && spec['serviceAccount'] !== '') {
    spec['serviceAccountName'] = spec['serviceAccount'];
  }
  for (const container of [...listAt(spec, 'containers'), ...listAt(spec, 'initContainers')]) {
    if (isObject(container)) defaultContainer(container, spec['hostNetwork'] === true);
  }
  for (const volume of listAt(spec, 'volumes')) if (isObject(volume)) defaultVolume(volume);
}

function defaultContainer(container: JsonObject, hostNetwork: boolean): void {
  const image = textAt(container, 'image') ?? '';
  const tag = /:([^:/@]+)$/.exec(image.split('@')[0] ?? '')?.[1];
  const latest = !image.includes('@') && (tag === undefined || tag === 'latest');
  setDefault(container, 'imagePullPolicy', latest ? 'Always' : 'IfNotPresent');
  setDefault(container, 'terminationMessagePath', '/dev/termination-log');
  setDefault(container, 'terminationMessagePolicy', 'File');
  const resources = ensureObject(container, 'resources');
  for (const [name, limit] of Object.entries(objectAt(resources, 'limits'))) {
    setDefault(ensureObject(resources, 'requests'), name, limit);
  }
  for (const port of listAt(container, 'ports')) {
    if (!isObject(port)) continue;
    setDefault(port, 'protocol', 'TCP');
    if (hostNetwork && port['containerPort'] !== undefined)
      setDefault(port, 'hostPort', port['containerPort']);
  }
  for (const name of ['livenessProbe', 'readinessProbe', 'startupProbe']) {
    const probe = container[name];
    if (isObject(probe)) defaultProbe(probe);
  }
  for (const variable of listAt(container, 'env')) {
    const reference = objectAt(variable, 'valueFrom')['fieldRef'];
    if (isObject(reference)) setDefault(reference, 'apiVersion', 'v1');
  }
}

function defaultProbe(probe: JsonObject): void {
  const numbers = { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 };
  for (const [field, value] of Object.entries(numbers)) setDefault(probe, field, value);
  const http = probe['httpGet'];
  if (!isObject(http)) return;
  setDefault(http, 'path', '/');
  setDefault(http, 'scheme', 'HTTP');
}

function defaultVolume(volume: JsonObject): void {
  const modes: readonly string[] = ['configMap', 'secret', 'downwardAPI', 'projected'];
  for (const kind of modes) {
    const source = volume[kind];
    if (isObject(source)) setDefault(source, 'defaultMode', 0o644);
  }
  const host = volume['hostPath'];
  if (isObject(host)) setDefault(host, 'type', '');
  for (const source of listAt(volume, 'projected', 'sources')) {
    const token = objectAt(source)['serviceAccountToken'];
    if (isObject(token)) setDefault(token, 'expirationSeconds', 3_600);
  }
  for (const item of listAt(volume, 'downwardAPI', 'items')) {
    const reference = objectAt(item)['fieldRef'];
    if (isObject(reference)) setDefault(reference, 'apiVersion', 'v1');
  }
}

function defaultService(object: JsonObject): void {
  const spec = ensureObject(object, 'spec');
  setDefault(spec, 'type', 'ClusterIP');
  setDefault(spec, 'sessionAffinity', 'None');
  const external = spec['type'] === 'ExternalName';
  if (!external) setDefault(spec, 'internalTrafficPolicy', 'Cluster');
  if (spec['type'] === 'NodePort' || spec['type'] === 'LoadBalancer') {
    setDefault(spec, 'externalTrafficPolicy', 'Cluster');
  }
  if (spec['type'] === 'LoadBalancer') setDefault(spec, 'allocateLoadBalancerNodePorts', true);
  if (spec['sessionAffinity'] === 'ClientIP') {
    setDefault(spec, 'sessionAffinityConfig', { clientIP: { timeoutSeconds: 10_800 } });
  }
  for (const port of listAt(spec, 'ports')) {
    if (!isObject(port)) continue;
    setDefault(port, 'protocol', 'TCP');
    const number = port['port'];
    if (port['targetPort'] === 0 || port['targetPort'] === '') delete port['targetPort'];
    if (!external && number !== undefined) setDefault(port, 'targetPort', number);
  }
  setDefault(ensureObject(object, 'status'), 'loadBalancer', {});
}

function defaultBinding(object: JsonObject): void {
  const group = 'rbac.authorization.k8s.io';
  const reference = object['roleRef'];
  if (isObject(reference)) setDefault(reference, 'apiGroup', group);
  for (const subject of listAt(object, 'subjects')) {
    if (isObject(subject) && (subject['kind'] === 'User' || subject['kind'] === 'Group')) {
      setDefault(subject, 'apiGroup', group);
    }
  }
}

function defaultWebhook(webhook: JsonObject): void {
  setDefault(webhook, 'failurePolicy', 'Fail');
  setDefault(webhook, 'matchPolicy', 'Equivalent');
  setDefault(webhook, 'timeoutSeconds', 10);
  setDefault(webhook, 'namespaceSelector', {});
  setDefault(webhook, 'objectSelector', {});
  const service = objectAt(webhook, 'clientConfig')['service'];
  if (isObject(service)) setDefault(service, 'port', 443);
  for (const rule of listAt(webhook, 'rules')) if (isObject(rule)) setDefault(rule, 'scope', '*' as Json);
}
