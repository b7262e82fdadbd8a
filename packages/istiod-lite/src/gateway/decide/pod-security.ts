/**
 * Level `baseline` of Kubernetes' Pod Security Standards, each control of it: what a pod asks for beyond that is a way to
 * the node it runs on. Pure.
 */
import { type Fields, fieldsOf, isFields, listOf } from './strategic-merge.ts';

/** Capabilities that `baseline` lets containers add. */
const CAPABILITIES: ReadonlySet<string> = new Set([
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
]);
const SELINUX_TYPES: ReadonlySet<string> = new Set([
  '',
  'container_t',
  'container_init_t',
  'container_kvm_t',
  'container_engine_t',
]);
const SYSCTLS: ReadonlySet<string> = new Set([
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ping_group_range',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_rmem',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.tcp_wmem',
]);
const APPARMOR_ANNOTATION = 'container.apparmor.security.beta.kubernetes.io/';
const CONTAINERS = ['initContainers', 'containers', 'ephemeralContainers'] as const;
const HANDLERS = ['livenessProbe', 'readinessProbe', 'startupProbe', 'lifecycle'] as const;

/** What in a pod's template is more than `baseline`, each as `path: value`. */
export function beyondBaseline(template: unknown): readonly string[] {
  const { metadata, spec } = fieldsOf(template);
  const pod = fieldsOf(spec);
  return [...ofAnnotations(fieldsOf(fieldsOf(metadata)['annotations'])), ...ofPod(pod)];
}

/** What says whose rights pods have. */
export function accountOf(template: unknown): readonly unknown[] {
  const { serviceAccountName, serviceAccount } = fieldsOf(fieldsOf(template)['spec']);
  return [serviceAccountName, serviceAccount];
}

/** What says with which tokens pods can prove their account, besides to whom. */
export function tokensOf(template: unknown): readonly unknown[] {
  const pod = fieldsOf(fieldsOf(template)['spec']);
  const sources = listOf(pod['volumes'])
    .flatMap((volume) => listOf(fieldsOf(fieldsOf(volume)['projected'])['sources']))
    .map((source) => fieldsOf(source)['serviceAccountToken'])
    .filter((token) => token !== undefined)
    .map((token) => fieldsOf(token)['audience'] ?? '');
  return [pod['automountServiceAccountToken'], [...new Set(sources)]];
}

/** What says which programs run in a pod, and on which files. */
export function programsOf(template: unknown): readonly unknown[] {
  const pod = fieldsOf(fieldsOf(template)['spec']);
  const containers = CONTAINERS.map((kind) =>
    listOf(pod[kind]).map((container) => ({ ...fieldsOf(container), resources: undefined })),
  );
  return [...containers, pod['volumes']];
}

function* ofAnnotations(annotations: Fields): Generator<string> {
  for (const [name, value] of Object.entries(annotations))
    if (name.startsWith(APPARMOR_ANNOTATION) && value !== 'runtime/default') yield said(name, value);
}

function* ofPod(pod: Fields): Generator<string> {
  for (const name of ['hostNetwork', 'hostPID', 'hostIPC']) if (isSet(pod[name])) yield said(name, pod[name]);
  yield* ofContext('securityContext', fieldsOf(pod['securityContext']));
  for (const [i, volume] of listOf(pod['volumes']).entries())
    if (fieldsOf(volume)['hostPath'] !== undefined)
      yield said(`volumes[${i}].hostPath`, fieldsOf(volume)['hostPath']);
  for (const kind of CONTAINERS)
    for (const container of listOf(pod[kind]))
      yield* ofContainer(`${kind}[${textOf(fieldsOf(container)['name'])}]`, fieldsOf(container));
}

function* ofContainer(path: string, container: Fields): Generator<string> {
  yield* ofContext(`${path}.securityContext`, fieldsOf(container['securityContext']));
  for (const port of listOf(container['ports']).map(fieldsOf))
    if (isSet(port['hostPort'])) yield said(`${path}.ports.hostPort`, port['hostPort']);
  for (const name of HANDLERS)
    for (const host of hostsIn(container[name])) yield said(`${path}.${name}.host`, host);
}

/** Of a pod or a container. */
function* ofContext(path: string, context: Fields): Generator<string> {
  if (isSet(context['privileged'])) yield said(`${path}.privileged`, context['privileged']);
  for (const capability of listOf(fieldsOf(context['capabilities'])['add']))
    if (!CAPABILITIES.has(textOf(capability))) yield said(`${path}.capabilities.add`, capability);
  const procMount = context['procMount'] ?? 'Default';
  if (procMount !== 'Default') yield said(`${path}.procMount`, procMount);
  for (const profile of ['seccompProfile', 'appArmorProfile']) {
    const { type } = fieldsOf(context[profile]);
    if (type !== undefined && type !== 'RuntimeDefault' && type !== 'Localhost')
      yield said(`${path}.${profile}.type`, type);
  }
  const { type = '', user = '', role = '' } = fieldsOf(context['seLinuxOptions']);
  if (!SELINUX_TYPES.has(textOf(type)) || user !== '' || role !== '')
    yield said(`${path}.seLinuxOptions`, context['seLinuxOptions']);
  if (isSet(fieldsOf(context['windowsOptions'])['hostProcess']))
    yield said(`${path}.windowsOptions.hostProcess`, true);
  for (const sysctl of listOf(context['sysctls']).map(fieldsOf))
    if (!SYSCTLS.has(textOf(sysctl['name']))) yield said(`${path}.sysctls`, sysctl['name']);
}

/** A probe that asks another host than its pod reaches what the node does. */
function hostsIn(value: unknown): readonly unknown[] {
  if (!isFields(value)) return [];
  return Object.entries(value).flatMap(([name, field]) =>
    name === 'host' && isSet(field) ? [field] : hostsIn(field),
  );
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false && value !== 0 && value !== '';
}

function said(path: string, value: unknown): string {
  return `${path}: ${JSON.stringify(value)}`;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
