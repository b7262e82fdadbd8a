/** What is wrong with a PeerAuthentication; pure. */
import type { PeerAuthentication } from '@ambit/kube/resources/security';
import { schemaProblems } from '../schema/openapi.ts';
import { peerAuthenticationSpec } from '../schema/peer-authentication.ts';
import { parsePort } from '../translate/matchers.ts';
import { Collector, type Findings } from './problems.ts';
import { validateSelector } from './selector.ts';

export interface PeerAuthenticationValidation {
  readonly rootNamespace: string;
}

export function validatePeerAuthentication(
  { spec = {}, metadata }: PeerAuthentication,
  { rootNamespace }: PeerAuthenticationValidation,
): Findings {
  const found = new Collector();
  found.errors.push(...schemaProblems(peerAuthenticationSpec, spec, 'spec'));
  if (found.errors.length > 0) return found;
  validateSelector(spec.selector, found);
  const hasSelector = Object.keys(spec.selector?.matchLabels ?? {}).length > 0;
  if (spec.portLevelMtls) {
    if (!hasSelector) found.error('spec.portLevelMtls', 'needs a selector');
    for (const port of Object.keys(spec.portLevelMtls))
      if (parsePort(port) === undefined)
        found.error(`spec.portLevelMtls.${port}`, 'is not a port from 1 to 65535');
  }
  if (hasSelector && metadata.namespace === rootNamespace)
    found.warn(
      'spec.selector',
      `a policy with a selector has no effect in the root namespace ${rootNamespace}`,
    );
  const modes = [spec.mtls, ...Object.values(spec.portLevelMtls ?? {})].map((mtls) => mtls?.mode);
  if (modes.includes('DISABLE'))
    found.warn('spec', 'DISABLE has the effect of PERMISSIVE: ztunnel never turns mTLS off');
  return found;
}
