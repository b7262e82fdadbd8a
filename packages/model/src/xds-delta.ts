/**
 * A delta of xDS resources, decoded and applied to the mesh as one batch.
 *
 * A resource that cannot be decoded rejects only itself; the rest of its delta is applied, and what the mesh held under
 * its name stays. Where it held nothing, a policy is noted as unreadable, so that what it binds does not pass for unbound.
 */
import { AUTHORIZATION_TYPE_URL } from '@ambit/api/authorization';
import { ADDRESS_TYPE_URL } from '@ambit/api/workload';
import { decodeAddress } from './decode/address.ts';
import { decodePolicy } from './decode/authorization.ts';
import type { Interner } from './intern.ts';
import type { MeshDelta, MeshStore } from './store.ts';
import type { Policy, UnreadablePolicy } from './policy.ts';
import type { RollImage } from './roll/image.ts';
import { Roll } from './roll/roll.ts';
import type { Service } from './service.ts';
import type { Workload } from './workload.ts';

export interface XdsDelta {
  readonly upserts: readonly { readonly name: string; readonly value: Uint8Array }[];
  readonly removed: readonly string[];
  /** Workloads that came with the upserts, and before them. */
  readonly roll?: RollImage | undefined;
}

/** A resource that was refused, and why: what a NACK says. */
export interface Rejection {
  readonly name: string;
  readonly reason: string;
}

/** Types other than addresses and policies change nothing. */
export function applyXdsDelta(
  mesh: MeshStore,
  typeUrl: string,
  delta: XdsDelta,
  interner: Interner,
): readonly Rejection[] {
  const { changes, rejections } = decodeXdsDelta(typeUrl, delta, interner);
  mesh.apply(changes);
  return rejections;
}

export function decodeXdsDelta(
  typeUrl: string,
  delta: XdsDelta,
  interner: Interner,
): { readonly changes: MeshDelta; readonly rejections: readonly Rejection[] } {
  if (typeUrl === ADDRESS_TYPE_URL) return decodeAddresses(delta, interner);
  if (typeUrl === AUTHORIZATION_TYPE_URL) return decodePolicies(delta);
  return { changes: {}, rejections: [] };
}

function decodeAddresses(
  { upserts, removed, roll }: XdsDelta,
  interner: Interner,
): ReturnType<typeof decodeXdsDelta> {
  const workloads: Workload[] = [];
  const services: Service[] = [];
  const rejections: Rejection[] = [];
  for (const { name, value } of upserts) {
    const decoded = decodeAddress(value, interner);
    if (decoded.kind === 'workload') workloads.push(decoded.workload);
    else if (decoded.kind === 'service') services.push(decoded.service);
    else rejections.push({ name, reason: decoded.problem });
  }
  const rolled = roll && { roll: new Roll(roll, interner) };
  return { changes: { workloads, services, removedAddresses: removed, ...rolled }, rejections };
}

function decodePolicies({ upserts, removed }: XdsDelta): ReturnType<typeof decodeXdsDelta> {
  const policies: Policy[] = [];
  const unreadablePolicies: UnreadablePolicy[] = [];
  const rejections: Rejection[] = [];
  for (const { name, value } of upserts) {
    const decoded = decodePolicy(name, value);
    if (decoded.kind === 'policy') {
      policies.push(decoded.policy);
      continue;
    }
    unreadablePolicies.push(decoded.unreadable);
    rejections.push({ name, reason: decoded.problem });
  }
  return { changes: { policies, unreadablePolicies, removedPolicies: removed }, rejections };
}
