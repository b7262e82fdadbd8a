/** Rules about what a policy is attached to. */
import type { LabelSelector } from '@ambit/kube/label-selector';
import type { PolicyTargetReference } from '@ambit/kube/resources/security';
import type { Collector } from './problems.ts';

/** The kinds a policy may be attached to at a waypoint, and their API groups. */
const TARGETS: Readonly<Record<string, readonly string[]>> = {
  Service: ['', 'core'],
  ServiceEntry: ['networking.istio.io'],
  Gateway: ['gateway.networking.k8s.io'],
  GatewayClass: ['gateway.networking.k8s.io'],
};

export interface Attachment {
  readonly selector?: Pick<LabelSelector, 'matchLabels'>;
  readonly targetRef?: PolicyTargetReference;
  readonly targetRefs?: readonly PolicyTargetReference[];
}

export function validateAttachment(
  { selector, targetRef, targetRefs = [] }: Attachment,
  into: Collector,
): void {
  const given = [selector !== undefined, targetRef !== undefined, targetRefs.length > 0].filter(Boolean);
  if (given.length > 1) into.error('spec', 'only one of selector, targetRef and targetRefs may be set');
  validateSelector(selector, into);
  if (targetRef) validateTarget(targetRef, 'spec.targetRef', into);
  for (const [i, target] of targetRefs.entries()) validateTarget(target, `spec.targetRefs[${i}]`, into);
}

export function validateSelector(selector: Attachment['selector'], into: Collector): void {
  for (const [key, value] of Object.entries(selector?.matchLabels ?? {})) {
    if (key === '') into.error('spec.selector.matchLabels', 'a key is empty');
    if (key.includes('*') || value.includes('*'))
      into.error(`spec.selector.matchLabels.${key}`, 'wildcards are not supported');
  }
}

function validateTarget(
  { group = '', kind, name, namespace }: PolicyTargetReference,
  path: string,
  into: Collector,
) {
  const groups = TARGETS[kind];
  if (!groups) into.error(`${path}.kind`, `must be one of ${Object.keys(TARGETS).join(', ')}`);
  else if (!groups.includes(group)) into.error(`${path}.group`, `must be "${groups[0]}" for a ${kind}`);
  if (name === '') into.error(`${path}.name`, 'must not be empty');
  if (namespace !== undefined && namespace !== '')
    into.error(`${path}.namespace`, 'must be empty: a target is in the namespace of the policy');
}
