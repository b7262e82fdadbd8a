/** `PeerAuthentication` of security.istio.io: whether a workload takes plaintext. */
import { selector } from './common.ts';
import { map, object, oneOf, withRules } from './openapi.ts';

export const MODES = ['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT'] as const;

const mode = object({
  mode: oneOf(MODES, 'STRICT: only mesh peers. PERMISSIVE and DISABLE: plaintext too.'),
});

/** More ports than a workload has an exception for; a bound that rules need. */
const MAX_PORTS = 1_024;

const portLevelMtls = withRules(
  {
    ...map(mode, 'By port number of the workload. Needs a selector.'),
    minProperties: 1,
    maxProperties: MAX_PORTS,
  },
  {
    rule: "self.all(port, port.matches('^[0-9]{1,5}$') && int(port) >= 1 && int(port) <= 65535)",
    message: 'portLevelMtls: each key must be a port from 1 to 65535',
  },
);

export const peerAuthenticationSpec = withRules(object({ selector, mtls: mode, portLevelMtls }), {
  rule: '!has(self.portLevelMtls) || (has(self.selector) && has(self.selector.matchLabels) && self.selector.matchLabels.size() > 0)',
  message: 'portLevelMtls: needs a selector',
  fieldPath: '.portLevelMtls',
});
