/**
 * The way from one root to another with a new key, without a moment in which a peer is not believed.
 *
 * Peers learn roots with their own certificates, so each step waits until every certificate of the time before it is
 * gone: a new root is announced while the old one signs; then it signs while the old one is still trusted; then the old
 * one is forgotten. Whoever keeps the state (a Secret, for all replicas) asks what is due and writes the result down.
 */
import { X509Certificate } from 'node:crypto';
import type { Clock } from '@ambit/core/clock';
import type { AuthorityMaterial } from './certificate-authority.ts';
import { createSelfSignedMaterial, type SelfSignedOptions } from './self-signed-ca.ts';
import type { Signer } from './x509.ts';

export type RootPhase =
  | { readonly kind: 'steady' }
  /** `next` is trusted by all who renew from now on, and signs nothing yet. */
  | { readonly kind: 'announced'; readonly sinceMs: number; readonly next: Signer }
  /** The new root signs; the old one is still trusted. */
  | { readonly kind: 'overlapping'; readonly sinceMs: number };

export interface RotatingRoot {
  /** What signs now, and every root that is trusted now. */
  readonly material: AuthorityMaterial;
  readonly phase: RootPhase;
}

export type RotationStep = 'announce' | 'switch' | 'retire';

/**
 * What is due, if anything. One rotation ends before the next one begins.
 *
 * @param overlapMs - At least as long as the longest certificate of a workload lives.
 */
export function dueStep(
  { phase }: RotatingRoot,
  wanted: boolean,
  nowMs: number,
  overlapMs: number,
): RotationStep | undefined {
  switch (phase.kind) {
    case 'steady':
      return wanted ? 'announce' : undefined;
    case 'announced':
      return nowMs - phase.sinceMs >= overlapMs ? 'switch' : undefined;
    case 'overlapping':
      return nowMs - phase.sinceMs >= overlapMs ? 'retire' : undefined;
    default:
      return phase satisfies never;
  }
}

/** Makes the new root: the old one signs, both are trusted. Roots that have expired are left behind. */
export async function announce(
  { material }: RotatingRoot,
  options: SelfSignedOptions,
  clock: Clock,
): Promise<RotatingRoot> {
  const { signer } = await createSelfSignedMaterial({ ...options, intermediate: false }, clock);
  const nowMs = clock.now();
  const living = material.rootsPem.filter((pem) => new X509Certificate(pem).validToDate.getTime() > nowMs);
  return {
    material: { ...material, rootsPem: [...living, signer.certificatePem] },
    phase: { kind: 'announced', sinceMs: nowMs, next: signer },
  };
}

/** The step after the announcement, or after the switch; the same state if there is none. */
export function advance(state: RotatingRoot, nowMs: number): RotatingRoot {
  const { material, phase } = state;
  if (phase.kind === 'announced') {
    const own = phase.next.certificatePem;
    const others = material.rootsPem.filter((pem) => pem !== own);
    return {
      material: { signer: phase.next, chainPem: [], rootsPem: [own, ...others] },
      phase: { kind: 'overlapping', sinceMs: nowMs },
    };
  }
  if (phase.kind === 'steady') return state;
  return {
    material: { ...material, rootsPem: [material.signer.certificatePem] },
    phase: { kind: 'steady' },
  };
}
