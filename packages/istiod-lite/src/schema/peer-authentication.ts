/** `PeerAuthentication` of security.istio.io: whether a workload takes plaintext. */
import { selector } from './common.ts';
import { map, object, oneOf } from './openapi.ts';

export const MODES = ['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT'] as const;

const mode = object({
  mode: oneOf(MODES, 'STRICT: only mesh peers. PERMISSIVE and DISABLE: plaintext too.'),
});

export const peerAuthenticationSpec = object({
  selector,
  mtls: mode,
  portLevelMtls: map(mode, 'By port number of the workload. Needs a selector.'),
});
