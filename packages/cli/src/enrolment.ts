/** Whether a pod's traffic is captured, whether it should be, and why not: read from labels and annotations alone. */
import type { Namespace, Pod } from '@ambit/kube/resources/core';

export const MODE_LABEL = 'istio.io/dataplane-mode';
export const AMBIENT = 'ambient';
export const NONE = 'none';
const REDIRECTION = 'ambient.istio.io/redirection';
const SIDECAR = 'sidecar.istio.io/status';

/** The node agent captures this pod's traffic now. */
export function isCaptured({ metadata }: Pod): boolean {
  return metadata.annotations?.[REDIRECTION] === 'enabled';
}

export function isEnrolled({ metadata }: Namespace): boolean {
  return metadata.labels?.[MODE_LABEL] === AMBIENT;
}

/** Why this pod is not to be captured; `undefined`: it is to be. */
export function exemption(pod: Pod, namespace: Namespace | undefined): string | undefined {
  const mode = pod.metadata.labels?.[MODE_LABEL];
  if (pod.spec?.hostNetwork) return 'it uses the network of its node';
  if (pod.metadata.annotations?.[SIDECAR] !== undefined) return 'it has a sidecar';
  if (mode === NONE) return `its label says ${MODE_LABEL}=${NONE}`;
  if (mode === AMBIENT) return undefined;
  if (namespace && isEnrolled(namespace)) return undefined;
  const name = pod.metadata.namespace ?? '';
  return `neither it nor namespace ${name} has the label ${MODE_LABEL}=${AMBIENT}`;
}

/** Running, and not on its way out. */
export function isRunning({ metadata, status }: Pod): boolean {
  return status?.phase === 'Running' && metadata.deletionTimestamp === undefined;
}

/** It runs, or is about to: its redirection is made before its first program starts. */
export function isLive({ metadata, status }: Pod): boolean {
  const hasEnded = status?.phase === 'Succeeded' || status?.phase === 'Failed';
  return !hasEnded && metadata.deletionTimestamp === undefined;
}

/** `namespace/name`. */
export function nameOf({ metadata }: Pod): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}
