/**
 * The access log: one line for each connection, when it ends. Istio's names, order and quoting; `policies` is ours, since
 * Istio's reason names no policy where none allowed a connection.
 *
 * Values that are not known are left out, never printed empty. Bytes are seen from the client on the outbound side and from
 * the server on the inbound side, as Istio has it.
 */
import { MAX_LOGGED_POLICIES } from './limits.ts';
import type { Traffic } from './traffic.ts';

export interface AccessRecord {
  readonly traffic: Traffic;
  /** `ip:port` of whoever connected. */
  readonly sourceAddress: string;
  /** `ip:port` that was dialled or reached: the tunnel's end where there is one. */
  readonly destinationAddress: string;
  /** `:authority` of the tunnel. */
  readonly hboneAddress: string | undefined;
  readonly direction: 'inbound' | 'outbound';
  /** Bytes from downstream to upstream. */
  readonly receivedBytes: number;
  /** Bytes from upstream to downstream. */
  readonly sentBytes: number;
  readonly durationMs: number;
  /** Keys of those that refused it. */
  readonly policies: readonly string[];
  readonly error: string | undefined;
}

/** What a field's value looks like in text: quoted, or as it is. */
type Field = readonly [name: string, value: string | number, quoted: boolean];

export function accessLine(
  record: AccessRecord,
  format: 'plain' | 'json',
  time: string,
  event: 'opened' | 'ended' = 'ended',
): string {
  const level = event === 'opened' ? 'debug' : record.error === undefined ? 'info' : 'error';
  const message = event === 'opened' ? 'connection opened' : 'connection complete';
  const fields = fieldsOf(record);
  if (format === 'json') {
    const entries = fields.map(([name, value]) => [name, value] as const);
    const head = { level, time, scope: 'access', message };
    return `${JSON.stringify({ ...head, ...Object.fromEntries(entries) })}\n`;
  }
  const pairs = fields.map(([name, value, quoted]) => `${name}=${quoted ? JSON.stringify(value) : value}`);
  return `${time}\t${level}\taccess\t${message}\t${pairs.join(' ')}\n`;
}

function fieldsOf(record: AccessRecord): Field[] {
  const { traffic, direction } = record;
  const { source, destination, service } = traffic;
  const outbound = direction === 'outbound';
  const sent = outbound ? record.receivedBytes : record.sentBytes;
  const received = outbound ? record.sentBytes : record.receivedBytes;
  const all: readonly (readonly [name: string, value: string | number | undefined, quoted: boolean])[] = [
    ['src.addr', record.sourceAddress, false],
    ['src.workload', source.instance || source.workload, true],
    ['src.namespace', source.namespace, true],
    ['src.identity', source.principal, true],
    ['src.cluster', source.cluster, true],
    ['dst.addr', record.destinationAddress, false],
    ['dst.hbone_addr', record.hboneAddress, false],
    ['dst.service', service?.hostname, true],
    ['dst.workload', destination.instance || destination.workload, true],
    ['dst.namespace', destination.namespace, true],
    ['dst.identity', destination.principal, true],
    ['dst.cluster', destination.cluster, true],
    ['direction', direction, true],
    ['bytes_sent', sent, false],
    ['bytes_recv', received, false],
    ['duration', `${Math.round(record.durationMs)}ms`, true],
    ['policies', named(record.policies), true],
    ['error', record.error, true],
  ];
  return all.flatMap(([name, value, quoted]): Field[] =>
    value === undefined || value === '' ? [] : [[name, value, quoted]],
  );
}

function named(policies: readonly string[]): string {
  const left = policies.length - MAX_LOGGED_POLICIES;
  const first = policies.slice(0, MAX_LOGGED_POLICIES).join(', ');
  return left > 0 ? `${first} and ${left} more` : first;
}
