/**
 * Which addresses the hosts of a ServiceEntry shall have that names none. Pure, but for the pools it takes from.
 *
 * What a host has it keeps, unless another entry has more right to it: one that is older, or one of its own namespace that
 * names the address itself. Naming an address takes it from nobody else's host: clients that remember it would be led to
 * whoever did. A host gets one address of each family.
 */
import { type Family, familyOf, parseIp } from '@ambit/core/ip';
import type { ServiceEntry, ServiceEntryAddress } from '@ambit/kube/resources/networking';
import {
  type CheckedEntry,
  hostsWithAllottedAddresses,
  wantsAllottedAddresses,
} from '../translate/service-entry.ts';
import type { MeshSettings } from '../translate/settings.ts';

export interface AllotmentContext {
  readonly settings: Pick<MeshSettings, 'ipAutoallocate'>;
  /** Every entry that names the address or was allotted it. */
  readonly claimants: (ip: string) => readonly CheckedEntry[];
  /** `undefined`: there is none left. */
  readonly take: (family: Family) => string | undefined;
}

/** What the status shall list; `undefined`: what it lists is right. */
export function allotment(
  entry: CheckedEntry,
  { settings, claimants, take }: AllotmentContext,
): readonly ServiceEntryAddress[] | undefined {
  const listed = [...entry.allotted].flatMap(([host, ips]) => ips.map((value) => ({ host, value })));
  if (!wantsAllottedAddresses(entry, settings)) return listed.length > 0 ? [] : undefined;
  const seen = new Set<string>();
  const keeps = (ip: string) => {
    if (seen.has(ip) || claimants(ip).some((other) => hasMoreRight(other, entry, ip))) return false;
    seen.add(ip);
    return true;
  };
  const wanted = hostsWithAllottedAddresses(entry).flatMap((host) => {
    const current = entry.allotted.get(host);
    const kept = (current ?? []).filter(keeps);
    // One that was allotted a single family, as the other had none left, is left so.
    const families: readonly Family[] =
      current === undefined ? [4, 6] : current.filter((ip) => !kept.includes(ip)).map(familyOf);
    const taken = families.flatMap((family) => take(family) ?? []);
    return [...kept, ...taken].sort(byFamily).map((value) => ({ value, host }));
  });
  const text = (addresses: readonly ServiceEntryAddress[]) =>
    addresses.map(({ host = '', value = '' }) => `${host} ${value}`).toSorted();
  return sameTexts(text(wanted), text(listed)) ? undefined : wanted;
}

/** Addresses that an entry names or was allotted; blocks of them are not compared. */
export function claimedAddresses({ spec, allotted }: CheckedEntry): readonly string[] {
  const named = (spec.addresses ?? []).flatMap((address) => parseIp(address) ?? []);
  return [...new Set([...named, ...[...allotted.values()].flat()])];
}

function hasMoreRight(other: CheckedEntry, entry: CheckedEntry, ip: string): boolean {
  const isNeighbour = other.namespace === entry.namespace;
  if (isNeighbour && other.name === entry.name) return false;
  if (isNeighbour && (other.spec.addresses ?? []).some((address) => parseIp(address) === ip)) return true;
  if (other.createdAt !== entry.createdAt) return other.createdAt < entry.createdAt;
  return `${other.namespace}/${other.name}` < `${entry.namespace}/${entry.name}`;
}

function byFamily(a: string, b: string): number {
  return familyOf(a) - familyOf(b);
}

function sameTexts(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, i) => text === b[i]);
}

/** An operation of RFC 6902. */
export interface PatchOperation {
  readonly op: 'test' | 'add' | 'replace';
  readonly path: string;
  readonly value: unknown;
}

/** Sets the addresses, if the status is still as it was when they were decided on. */
export function allotmentPatch(
  status: ServiceEntry['status'],
  addresses: readonly ServiceEntryAddress[],
): readonly PatchOperation[] {
  if (status === undefined)
    return [
      { op: 'test', path: '/status', value: null },
      { op: 'add', path: '/status', value: { addresses } },
    ];
  const path = '/status/addresses';
  return status.addresses === undefined
    ? [
        { op: 'test', path, value: null },
        { op: 'add', path, value: addresses },
      ]
    : [
        { op: 'test', path, value: status.addresses },
        { op: 'replace', path, value: addresses },
      ];
}
