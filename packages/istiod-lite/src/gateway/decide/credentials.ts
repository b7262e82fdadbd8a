/**
 * Secrets that a Gateway has mounted for its waypoint, so that DestinationRules can name them. Pure.
 *
 * The kubelet brings them, and what is renewed in them; neither the control plane nor the waypoint may read Secrets. One
 * that is not there stops no pod: what is to be sent with it fails until it is.
 */
import { isDnsSubdomain } from '@ambit/core/dns-subdomain';
import type { Gateway } from '@ambit/kube/resources/gateway';
import { MAX_MOUNTED_CREDENTIALS } from '../../limits.ts';

export const CREDENTIALS_ANNOTATION = 'ambit.mesh/credentials';
/** As the waypoint looks for them. */
const FOLDER = '/etc/istio/credentials';
const VOLUME = 'credentials';

/** Keys that are read of a Secret; nothing else of it is in the pod. */
const OWN = ['tls.crt', 'tls.key', 'cert', 'key'] as const;
const AUTHORITIES = ['ca.crt', 'ca.crl', 'cacert', 'crl'] as const;

export interface Credentials {
  readonly names: readonly string[];
  readonly problem: string | undefined;
}

export function credentialsOf({ metadata }: Gateway): Credentials {
  const given = metadata.annotations?.[CREDENTIALS_ANNOTATION] ?? '';
  const names = [...new Set(given.split(',').map((name) => name.trim()))].filter((name) => name !== '');
  const wrong = names.find((name) => !isDnsSubdomain(name));
  const said = wrong !== undefined && wrong.length > 100 ? `${wrong.slice(0, 100)}…` : wrong;
  const problem =
    said !== undefined
      ? `"${said}" is no name of a Secret`
      : names.length > MAX_MOUNTED_CREDENTIALS
        ? `${names.length} Secrets where at most ${MAX_MOUNTED_CREDENTIALS} are mounted`
        : undefined;
  return problem === undefined
    ? { names, problem: undefined }
    : { names: [], problem: `annotation ${CREDENTIALS_ANNOTATION}: ${problem}` };
}

/** Of a pod. */
export function credentialVolumes(names: readonly string[]): readonly object[] {
  if (names.length === 0) return [];
  // Istio takes authorities from a Secret of their own, where there is one. One that is named itself is there already, and
  // the API server takes no file twice.
  const sources = names.flatMap((name) => {
    const authorities = `${name}-cacert`;
    return [
      source(name, [...OWN, ...AUTHORITIES]),
      ...(names.includes(authorities) ? [] : [source(authorities, AUTHORITIES)]),
    ];
  });
  return [{ name: VOLUME, projected: { sources } }];
}

/** Of its container. */
export function credentialMounts(names: readonly string[]): readonly object[] {
  return names.length === 0 ? [] : [{ name: VOLUME, mountPath: FOLDER, readOnly: true }];
}

/** Neither the Secret nor any of the keys need be there. */
function source(name: string, keys: readonly string[]): object {
  return { secret: { name, optional: true, items: keys.map((key) => ({ key, path: `${name}/${key}` })) } };
}
