/** What a reviewed token says about its bearer. Pure. */
import type { CaCaller } from '@ambit/identity/ca-server';
import { formatSpiffeId } from '@ambit/identity/spiffe-id';
import type { TokenReview } from '@ambit/kube/resources/authentication';

export interface Caller extends CaCaller {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** The pod that the token is bound to; absent for a token that is bound to none. */
  readonly pod: { readonly name: string; readonly uid: string } | undefined;
}

const SERVICE_ACCOUNTS_GROUP = 'system:serviceaccounts';
const USERNAME = /^system:serviceaccount:([^:]+):([^:]+)$/;
const POD_NAME = 'authentication.kubernetes.io/pod-name';
const POD_UID = 'authentication.kubernetes.io/pod-uid';

/** The bearer, or in words why there is none. */
export function callerOf(
  { status }: Pick<TokenReview, 'status'>,
  audiences: readonly string[],
  trustDomain: string,
): Caller | string {
  if (status?.error) return `token review: ${status.error}`;
  if (!status?.authenticated) return 'token not valid';
  if (!status.audiences?.some((audience) => audiences.includes(audience)))
    return `token not for ${audiences.join(' or ')}`;
  const { username = '', groups = [], extra = {} } = status.user ?? {};
  if (!groups.includes(SERVICE_ACCOUNTS_GROUP)) return `${username} is not a service account`;
  const [, namespace, serviceAccount] = USERNAME.exec(username) ?? [];
  if (namespace === undefined || serviceAccount === undefined) return `${username} is not a service account`;
  const name = extra[POD_NAME]?.[0];
  const uid = extra[POD_UID]?.[0];
  return {
    identities: [formatSpiffeId({ trustDomain, namespace, serviceAccount })],
    namespace,
    serviceAccount,
    pod: name !== undefined && uid !== undefined ? { name, uid } : undefined,
  };
}
