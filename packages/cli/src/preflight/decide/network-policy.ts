/** Whether a NetworkPolicy lets the mesh's port in from anybody: otherwise pods that it selects are cut off in the mesh. */
import type { KubeObject } from '@ambit/kube/resource';
import { listOf, numberOf, objectOf, textOf } from '../../json-value.ts';
import type { PolicyView } from './facts.ts';

const MESH_PORT = 15_008;

export function policyViewOf(policy: KubeObject): PolicyView {
  const { spec } = policy as KubeObject & { readonly spec?: unknown };
  const { policyTypes, ingress } = objectOf(spec);
  const types = listOf(policyTypes).map(textOf);
  // Without types a policy is about what comes in.
  const restricts = types.length === 0 || types.includes('Ingress');
  const { namespace = '', name } = policy.metadata;
  return { namespace, name, excludesMesh: restricts && !listOf(ingress).some(letsIn) };
}

/** Whom it lets in is not looked at: that a rule names the port shows that somebody has thought of it. */
function letsIn(rule: unknown): boolean {
  const { ports } = objectOf(rule);
  const all = listOf(ports).map(objectOf);
  return all.length === 0 || all.some(isMeshPort);
}

function isMeshPort({ port, endPort, protocol }: Readonly<Record<string, unknown>>): boolean {
  if (protocol !== undefined && protocol !== 'TCP') return false;
  if (port === undefined) return true;
  const first = numberOf(port);
  if (first === undefined) return false;
  return MESH_PORT >= first && MESH_PORT <= (numberOf(endPort) ?? first);
}
