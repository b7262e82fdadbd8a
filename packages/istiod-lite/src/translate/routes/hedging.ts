/**
 * After how long a route has requests sent to a second endpoint as well, by an annotation of ours: neither the Gateway API nor
 * Istio has a word for it. Pure.
 */
import type { KubeObject } from '@ambit/kube/resource';
import { MAX_HEDGE_AFTER_MS } from '../../limits.ts';
import { goDurationMs } from '../go-duration.ts';

export const HEDGE_ANNOTATION = 'ambit.mesh/hedge-after';

/** 0: never, and of what is no duration from a millisecond to a minute. */
export function hedgeAfterMs({ metadata }: KubeObject): number {
  const text = metadata.annotations?.[HEDGE_ANNOTATION];
  const ms = text === undefined ? 0 : (goDurationMs(text) ?? 0);
  return ms <= MAX_HEDGE_AFTER_MS ? ms : 0;
}

/** What is wrong with the annotation, if it is there. */
export function hedgingProblem(object: KubeObject): string | undefined {
  const isThere = object.metadata.annotations?.[HEDGE_ANNOTATION] !== undefined;
  return isThere && hedgeAfterMs(object) === 0
    ? 'must be a duration from 1ms to 1m: it has no effect'
    : undefined;
}
