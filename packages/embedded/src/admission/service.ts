/** Services: addresses from 10.96.0.0/16, node ports, and what may not change. */
import type { FieldProblem } from '../errors.ts';
import { ensureObject, isObject, type JsonObject, listAt, numberAt, objectAt, textAt } from '../json.ts';
import type { Context } from '../objects/context.ts';
import type { KindRules } from './rules.ts';

/** Addresses up to this are for those that ask for one by number (DNS has .10), as in Kubernetes. */
const FIRST_DYNAMIC = 256;
const LAST = 65_534;
const NODE_PORT_FIRST = 30_000;
const NODE_PORT_LAST = 32_767;

/** The n-th address of the service range. */
export const serviceIp = (n: number): string => `10.96.${n >> 8}.${n & 255}`;

const inRange = (ip: string): boolean =>
  /^10\.96\.(?:25[0-5]|2[0-4]\d|1?\d?\d)\.(?:25[0-5]|2[0-4]\d|1?\d?\d)$/.test(ip);

const wantsIp = (spec: JsonObject): boolean => spec['type'] !== 'ExternalName';

export const serviceRules: KindRules = {
  create: (context, object) => {
    assign(context, object, undefined);
    object['status'] = { loadBalancer: {} };
  },
  update: (context, next, current, subresource) => {
    if (subresource === '') assign(context, next, current);
  },
  problems: (context, object, previous) => [
    ...addressProblems(context, object, previous),
    ...portProblems(objectAt(object, 'spec')),
  ],
};

/** Gives the service what it did not ask for itself; what it already has, it keeps. */
function assign(context: Context, object: JsonObject, previous: JsonObject | undefined): void {
  const spec = ensureObject(object, 'spec');
  if (!wantsIp(spec)) {
    for (const field of ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy']) delete spec[field];
    return;
  }
  const before = textAt(previous, 'spec', 'clusterIP');
  if (!textAt(spec, 'clusterIP')) {
    spec['clusterIP'] = listAt(spec, 'clusterIPs')[0] ?? (before || freeIp(context));
  }
  spec['clusterIPs'] = [spec['clusterIP'] ?? ''];
  spec['ipFamilies'] ??= ['IPv4'];
  spec['ipFamilyPolicy'] ??= 'SingleStack';
  if (spec['type'] !== 'NodePort' && spec['type'] !== 'LoadBalancer') return;
  if (spec['allocateLoadBalancerNodePorts'] === false) return;
  const taken = takenNodePorts(context);
  const old = listAt(previous, 'spec', 'ports');
  for (const port of listAt(spec, 'ports')) {
    if (!isObject(port) || port['nodePort']) continue;
    const same = old.find(
      (other) => numberAt(other, 'port') === port['port'] && textAt(other, 'protocol') === port['protocol'],
    );
    const number = numberAt(same, 'nodePort') ?? freeNodePort(taken, context.random);
    if (number === undefined) continue;
    taken.add(number);
    port['nodePort'] = number;
  }
}

function takenIps(context: Context, except: string): ReadonlySet<string> {
  return new Set(
    context.store
      .list('services')
      .filter((service) => textAt(service, 'metadata', 'uid') !== except)
      .map((service) => textAt(service, 'spec', 'clusterIP') ?? ''),
  );
}

function freeIp(context: Context): string {
  const taken = takenIps(context, '');
  const size = LAST - FIRST_DYNAMIC + 1;
  const start = Math.floor(context.random() * size);
  for (let i = 0; i < size; i++) {
    const ip = serviceIp(FIRST_DYNAMIC + ((start + i) % size));
    if (!taken.has(ip)) return ip;
  }
  return '';
}

function takenNodePorts(context: Context): Set<number> {
  return new Set(
    context.store
      .list('services')
      .flatMap((service) =>
        listAt(service, 'spec', 'ports').flatMap((port) => numberAt(port, 'nodePort') ?? []),
      ),
  );
}

function freeNodePort(taken: ReadonlySet<number>, random: () => number): number | undefined {
  const size = NODE_PORT_LAST - NODE_PORT_FIRST + 1;
  const start = Math.floor(random() * size);
  for (let i = 0; i < size; i++) {
    const port = NODE_PORT_FIRST + ((start + i) % size);
    if (!taken.has(port)) return port;
  }
  return undefined;
}

function addressProblems(
  context: Context,
  object: JsonObject,
  previous: JsonObject | undefined,
): readonly FieldProblem[] {
  const spec = objectAt(object, 'spec');
  const ip = textAt(spec, 'clusterIP') ?? '';
  const bad = (why: string): readonly FieldProblem[] => [
    {
      reason: 'FieldValueInvalid',
      field: 'spec.clusterIPs[0]',
      message: `Invalid value: ${JSON.stringify(ip)}: ${why}`,
    },
  ];
  if (!wantsIp(spec) || ip === 'None') return [];
  const before = textAt(previous, 'spec', 'clusterIP');
  if (before && previous && wantsIp(objectAt(previous, 'spec')) && before !== ip)
    return bad('may not change once set');
  if (before === ip) return [];
  if (ip === '') return bad('failed to allocate IP: range is full');
  if (!inRange(ip)) {
    return bad(
      'failed to allocate IP: the provided IP is not in the valid range. The range of valid IPs is 10.96.0.0/16',
    );
  }
  return takenIps(context, textAt(object, 'metadata', 'uid') ?? '').has(ip)
    ? bad('failed to allocate IP: provided IP is already allocated')
    : [];
}

function portProblems(spec: JsonObject): readonly FieldProblem[] {
  const ports = listAt(spec, 'ports');
  const problems: FieldProblem[] = [];
  if (ports.length === 0 && spec['type'] !== 'ExternalName' && spec['clusterIP'] !== 'None') {
    problems.push({ reason: 'FieldValueRequired', field: 'spec.ports', message: 'Required value' });
  }
  ports.forEach((port, i) => {
    const number = numberAt(port, 'port') ?? 0;
    if (number < 1 || number > 65_535) {
      problems.push({
        reason: 'FieldValueInvalid',
        field: `spec.ports[${i}].port`,
        message: `Invalid value: ${number}: must be between 1 and 65535, inclusive`,
      });
    }
    if (ports.length > 1 && !textAt(port, 'name')) {
      problems.push({
        reason: 'FieldValueRequired',
        field: `spec.ports[${i}].name`,
        message: 'Required value',
      });
    }
    const same = ports.findIndex(
      (other, j) =>
        j < i &&
        ((textAt(other, 'name') && textAt(other, 'name') === textAt(port, 'name')) ||
          (numberAt(other, 'port') === number && textAt(other, 'protocol') === textAt(port, 'protocol'))),
    );
    if (same >= 0) {
      problems.push({
        reason: 'FieldValueDuplicate',
        field: `spec.ports[${i}]`,
        message: `Duplicate value: ${JSON.stringify({ name: textAt(port, 'name') ?? '', port: number })}`,
      });
    }
  });
  return problems;
}
