/** The columns that `kubectl get` shows for built-in kinds. Pure. */
import {
  isObject,
  type Json,
  type JsonObject,
  listAt,
  numberAt,
  objectAt,
  textAt,
  textsAt,
} from '../json.ts';
import { type Resource, storageKeyOf } from '../kinds/resource.ts';
import { labelsOf } from '../object.ts';
import { durationText } from './duration.ts';

export interface Column {
  readonly name: string;
  readonly type: string;
  readonly format?: string;
  readonly description: string;
  /** 0 is always shown, more only with `-o wide`. */
  readonly priority: number;
  readonly cell: (object: JsonObject, nowMs: number) => Json;
}

export function age(object: JsonObject, nowMs: number): string {
  const created = textAt(object, 'metadata', 'creationTimestamp');
  return created === undefined ? '<unknown>' : durationText(nowMs - Date.parse(created));
}

const text = (name: string, cell: Column['cell'], priority = 0): Column => ({
  name,
  type: 'string',
  description: '',
  priority,
  cell,
});
const number = (name: string, cell: Column['cell']): Column => ({ ...text(name, cell), type: 'integer' });
const AGE = text('Age', age);

/** `value`, or what kubectl shows in place of nothing. */
const or = (value: string | undefined, otherwise = '<none>'): string => (value ? value : otherwise);

const joined = (values: readonly string[], otherwise = '<none>'): string => or(values.join(','), otherwise);

const selectorText = (selector: JsonObject): string =>
  joined(Object.entries(objectAt(selector, 'matchLabels')).map(([key, value]) => `${key}=${String(value)}`));

const containers = (part: string) => (object: JsonObject) =>
  joined(listAt(object, 'spec', 'template', 'spec', 'containers').map((c) => textAt(c, part) ?? ''));

const replicas = (name: string, field: string): Column =>
  number(name, (object) => numberAt(object, 'status', field) ?? 0);

const WORKLOAD_WIDE: readonly Column[] = [
  text('Containers', containers('name'), 1),
  text('Images', containers('image'), 1),
  text('Selector', (object) => selectorText(objectAt(object, 'spec', 'selector')), 1),
];

const COLUMNS: Readonly<Record<string, readonly Column[]>> = {
  namespaces: [text('Status', (object) => textAt(object, 'status', 'phase') ?? ''), AGE],
  pods: [
    text('Ready', podReady),
    text('Status', podStatus),
    text('Restarts', podRestarts),
    AGE,
    text('IP', (object) => or(textAt(object, 'status', 'podIP')), 1),
    text('Node', (object) => or(textAt(object, 'spec', 'nodeName')), 1),
    text('Nominated Node', (object) => or(textAt(object, 'status', 'nominatedNodeName')), 1),
    text('Readiness Gates', () => '<none>', 1),
  ],
  services: [
    text('Type', (object) => textAt(object, 'spec', 'type') ?? ''),
    text('Cluster-IP', (object) => or(textAt(object, 'spec', 'clusterIP'))),
    text('External-IP', serviceExternal),
    text('Port(s)', servicePorts),
    AGE,
    text(
      'Selector',
      (object) =>
        joined(Object.entries(objectAt(object, 'spec', 'selector')).map(([k, v]) => `${k}=${String(v)}`)),
      1,
    ),
  ],
  endpoints: [text('Endpoints', endpointsText), AGE],
  nodes: [
    text('Status', nodeStatus),
    text('Roles', nodeRoles),
    AGE,
    text('Version', (object) => textAt(object, 'status', 'nodeInfo', 'kubeletVersion') ?? ''),
    text('Internal-IP', (object) => nodeAddress(object, 'InternalIP'), 1),
    text('External-IP', (object) => nodeAddress(object, 'ExternalIP'), 1),
    text('OS-Image', (object) => or(textAt(object, 'status', 'nodeInfo', 'osImage'), '<unknown>'), 1),
    text(
      'Kernel-Version',
      (object) => or(textAt(object, 'status', 'nodeInfo', 'kernelVersion'), '<unknown>'),
      1,
    ),
    text(
      'Container-Runtime',
      (object) => or(textAt(object, 'status', 'nodeInfo', 'containerRuntimeVersion'), '<unknown>'),
      1,
    ),
  ],
  configmaps: [
    number(
      'Data',
      (object) =>
        Object.keys(objectAt(object, 'data')).length + Object.keys(objectAt(object, 'binaryData')).length,
    ),
    AGE,
  ],
  secrets: [
    text('Type', (object) => textAt(object, 'type') ?? ''),
    number('Data', (object) => Object.keys(objectAt(object, 'data')).length),
    AGE,
  ],
  serviceaccounts: [number('Secrets', (object) => listAt(object, 'secrets').length), AGE],
  events: [
    text('Last Seen', eventLastSeen),
    text('Type', (object) => textAt(object, 'type') ?? ''),
    text('Reason', (object) => textAt(object, 'reason') ?? ''),
    text(
      'Object',
      (object) =>
        `${(textAt(object, 'involvedObject', 'kind') ?? '').toLowerCase()}/${textAt(object, 'involvedObject', 'name') ?? ''}`,
    ),
    text('Subobject', (object) => textAt(object, 'involvedObject', 'fieldPath') ?? '', 1),
    text('Source', (object) => textAt(object, 'source', 'component') ?? '', 1),
    text('Message', (object) => (textAt(object, 'message') ?? '').trim()),
    number('Count', (object) => numberAt(object, 'count') ?? 1),
  ].map((column) => (column.name === 'Count' ? { ...column, priority: 1 } : column)),
  'deployments.apps': [
    text(
      'Ready',
      (object) =>
        `${numberAt(object, 'status', 'readyReplicas') ?? 0}/${numberAt(object, 'spec', 'replicas') ?? 1}`,
    ),
    replicas('Up-to-date', 'updatedReplicas'),
    replicas('Available', 'availableReplicas'),
    AGE,
    ...WORKLOAD_WIDE,
  ],
  'replicasets.apps': [
    number('Desired', (object) => numberAt(object, 'spec', 'replicas') ?? 1),
    replicas('Current', 'replicas'),
    replicas('Ready', 'readyReplicas'),
    AGE,
    ...WORKLOAD_WIDE,
  ],
  'statefulsets.apps': [
    text(
      'Ready',
      (object) =>
        `${numberAt(object, 'status', 'readyReplicas') ?? 0}/${numberAt(object, 'spec', 'replicas') ?? 1}`,
    ),
    AGE,
    ...WORKLOAD_WIDE.slice(0, 2),
  ],
  'daemonsets.apps': [
    replicas('Desired', 'desiredNumberScheduled'),
    replicas('Current', 'currentNumberScheduled'),
    replicas('Ready', 'numberReady'),
    replicas('Up-to-date', 'updatedNumberScheduled'),
    replicas('Available', 'numberAvailable'),
    text('Node Selector', (object) =>
      joined(
        Object.entries(objectAt(object, 'spec', 'template', 'spec', 'nodeSelector')).map(
          ([k, v]) => `${k}=${String(v)}`,
        ),
      ),
    ),
    AGE,
    ...WORKLOAD_WIDE,
  ],
  'jobs.batch': [
    text('Status', (object) =>
      conditionTrue(object, 'Complete') ? 'Complete' : conditionTrue(object, 'Failed') ? 'Failed' : 'Running',
    ),
    text(
      'Completions',
      (object) =>
        `${numberAt(object, 'status', 'succeeded') ?? 0}/${numberAt(object, 'spec', 'completions') ?? 1}`,
    ),
    AGE,
  ],
  'leases.coordination.k8s.io': [
    text('Holder', (object) => textAt(object, 'spec', 'holderIdentity') ?? ''),
    AGE,
  ],
  'endpointslices.discovery.k8s.io': [
    text('AddressType', (object) => textAt(object, 'addressType') ?? ''),
    text('Ports', (object) =>
      joined(
        listAt(object, 'ports').map((port) => String(numberAt(port, 'port') ?? '*')),
        '<unset>',
      ),
    ),
    text('Endpoints', (object) =>
      few(
        listAt(object, 'endpoints').flatMap((endpoint) => textsAt(endpoint, 'addresses')),
        '<unset>',
      ),
    ),
    AGE,
  ],
  'roles.rbac.authorization.k8s.io': [text('Created At', createdAt)],
  'clusterroles.rbac.authorization.k8s.io': [text('Created At', createdAt)],
  'rolebindings.rbac.authorization.k8s.io': bindingColumns(),
  'clusterrolebindings.rbac.authorization.k8s.io': bindingColumns(),
  'customresourcedefinitions.apiextensions.k8s.io': [text('Created At', createdAt)],
  'validatingwebhookconfigurations.admissionregistration.k8s.io': [
    number('Webhooks', (object) => listAt(object, 'webhooks').length),
    AGE,
  ],
  'networkpolicies.networking.k8s.io': [
    text('Pod-Selector', (object) => selectorText(objectAt(object, 'spec', 'podSelector'))),
    AGE,
  ],
  'priorityclasses.scheduling.k8s.io': [
    number('Value', (object) => numberAt(object, 'value') ?? 0),
    text('Global-Default', (object) => String(object['globalDefault'] === true)),
    AGE,
  ],
  persistentvolumeclaims: [text('Status', (object) => textAt(object, 'status', 'phase') ?? ''), AGE],
};

/** What comes after the name; `undefined` for a kind that shows its age alone. */
export const builtinColumns = (resource: Resource): readonly Column[] | undefined =>
  COLUMNS[storageKeyOf(resource)];

function createdAt(object: JsonObject): string {
  return textAt(object, 'metadata', 'creationTimestamp') ?? '';
}

function bindingColumns(): readonly Column[] {
  const subjects = (kind: string) => (object: JsonObject) =>
    listAt(object, 'subjects')
      .filter((subject) => textAt(subject, 'kind') === kind)
      .map((subject) => [textAt(subject, 'namespace'), textAt(subject, 'name')].filter(Boolean).join('/'))
      .join(', ');
  return [
    text('Role', (object) => `${textAt(object, 'roleRef', 'kind')}/${textAt(object, 'roleRef', 'name')}`),
    AGE,
    text('Users', subjects('User'), 1),
    text('Groups', subjects('Group'), 1),
    text('ServiceAccounts', subjects('ServiceAccount'), 1),
  ];
}

const conditionTrue = (object: JsonObject, type: string): boolean =>
  listAt(object, 'status', 'conditions').some(
    (c) => textAt(c, 'type') === type && textAt(c, 'status') === 'True',
  );

function podReady(object: JsonObject): string {
  const ready = listAt(object, 'status', 'containerStatuses').filter(
    (status) => objectAt(status)['ready'] === true,
  );
  return `${ready.length}/${listAt(object, 'spec', 'containers').length}`;
}

/** The phase, or what is more telling: a waiting or terminated container's reason, or that it is going away. */
function podStatus(object: JsonObject): string {
  let status = textAt(object, 'status', 'reason') || (textAt(object, 'status', 'phase') ?? 'Unknown');
  for (const container of listAt(object, 'status', 'initContainerStatuses')) {
    const waiting = textAt(container, 'state', 'waiting', 'reason');
    if (waiting && waiting !== 'PodInitializing') status = `Init:${waiting}`;
  }
  for (const container of [...listAt(object, 'status', 'containerStatuses')].reverse()) {
    const { waiting, terminated } = objectAt(container, 'state');
    const reason = textAt(waiting, 'reason') ?? textAt(terminated, 'reason');
    if (reason) status = reason;
    else if (isObject(terminated)) status = `ExitCode:${numberAt(terminated, 'exitCode') ?? 0}`;
  }
  return textAt(object, 'metadata', 'deletionTimestamp') === undefined ? status : 'Terminating';
}

function podRestarts(object: JsonObject, nowMs: number): string {
  const statuses = listAt(object, 'status', 'containerStatuses');
  const restarts = statuses.reduce<number>((sum, status) => sum + (numberAt(status, 'restartCount') ?? 0), 0);
  const times = statuses.flatMap((status) => {
    const at = Date.parse(textAt(status, 'lastState', 'terminated', 'finishedAt') ?? '');
    return Number.isNaN(at) ? [] : [at];
  });
  return restarts === 0 || times.length === 0
    ? String(restarts)
    : `${restarts} (${durationText(nowMs - Math.max(...times))} ago)`;
}

function serviceExternal(object: JsonObject): string {
  const external = textsAt(object, 'spec', 'externalIPs');
  if (textAt(object, 'spec', 'type') === 'ExternalName') return or(textAt(object, 'spec', 'externalName'));
  if (textAt(object, 'spec', 'type') !== 'LoadBalancer') return joined(external);
  const ingress = listAt(object, 'status', 'loadBalancer', 'ingress').map(
    (each) => textAt(each, 'ip') ?? textAt(each, 'hostname') ?? '',
  );
  return joined([...ingress, ...external], '<pending>');
}

function servicePorts(object: JsonObject): string {
  return joined(
    listAt(object, 'spec', 'ports').map((port) => {
      const node = numberAt(port, 'nodePort');
      const number = numberAt(port, 'port') ?? 0;
      return `${number}${node ? `:${node}` : ''}/${textAt(port, 'protocol') ?? 'TCP'}`;
    }),
  );
}

/** The first three, and how many more. */
function few(values: readonly string[], otherwise: string): string {
  if (values.length === 0) return otherwise;
  const more = values.length - 3;
  return values.slice(0, 3).join(',') + (more > 0 ? ` + ${more} more...` : '');
}

function endpointsText(object: JsonObject): string {
  const all = listAt(object, 'subsets').flatMap((subset) =>
    listAt(subset, 'addresses').flatMap((address) => {
      const ip = textAt(address, 'ip') ?? '';
      const ports = listAt(subset, 'ports');
      return ports.length === 0 ? [ip] : ports.map((port) => `${ip}:${numberAt(port, 'port') ?? 0}`);
    }),
  );
  return few(all, '<none>');
}

function nodeStatus(object: JsonObject): string {
  const ready = listAt(object, 'status', 'conditions').find(
    (condition) => textAt(condition, 'type') === 'Ready',
  );
  const state = ready === undefined ? 'Unknown' : textAt(ready, 'status') === 'True' ? 'Ready' : 'NotReady';
  return objectAt(object, 'spec')['unschedulable'] === true ? `${state},SchedulingDisabled` : state;
}

function nodeRoles(object: JsonObject): string {
  const prefix = 'node-role.kubernetes.io/';
  const roles = Object.keys(labelsOf(object)).filter((key) => key.startsWith(prefix));
  return joined(roles.map((key) => key.slice(prefix.length)).sort());
}

function nodeAddress(object: JsonObject, type: string): Json {
  const address = listAt(object, 'status', 'addresses').find((each) => textAt(each, 'type') === type);
  return or(textAt(address, 'address'));
}

function eventLastSeen(object: JsonObject, nowMs: number): string {
  const at =
    textAt(object, 'lastTimestamp') ??
    textAt(object, 'eventTime') ??
    textAt(object, 'metadata', 'creationTimestamp');
  return at === undefined ? '<unknown>' : durationText(nowMs - Date.parse(at));
}
