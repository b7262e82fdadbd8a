/** Whether Kubernetes calls a pod ready. */
import type { Pod } from '@ambit/kube/resources/core';

export function isReady({ status }: Pod): boolean {
  return status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;
}
