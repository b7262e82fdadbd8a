/**
 * Tokens of service accounts: signed JWTs with the claims that Kubernetes puts in.
 *
 * A token is worth what it is bound to: when its account, or the pod it names, is gone or was made anew, it is refused,
 * whatever its expiry says.
 */
import { type KeyObject, randomUUID } from 'node:crypto';
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import { calculateJwkThumbprint, exportJWK, type JWK, jwtVerify, SignJWT } from 'jose';
import { isObject, type JsonObject, textAt } from '../json.ts';
import { TOKEN_BYTES } from '../limits.ts';
import { uidOf } from '../object.ts';
import type { ObjectStore } from '../storage/store.ts';
import { serviceAccountGroups, serviceAccountName, type User } from './user.ts';

/** Who issues tokens, and the audience of those for the API itself. */
export const ISSUER = 'https://kubernetes.default.svc.cluster.local';
const ALGORITHM = 'ES256';

export interface TokenSubject {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly pod?: { readonly name: string; readonly uid: string };
  readonly node?: { readonly name: string; readonly uid: string };
}

export type TokenVerdict =
  | { readonly valid: true; readonly user: User; readonly audiences: readonly string[] }
  | { readonly valid: false; readonly reason: string };

export class ServiceAccountTokens {
  readonly #key: KeyObject;
  readonly #publicKey: KeyObject;
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  #jwk: Promise<JWK> | undefined;

  constructor(
    keys: { readonly privateKey: KeyObject; readonly publicKey: KeyObject },
    store: ObjectStore,
    clock: Clock,
  ) {
    this.#key = keys.privateKey;
    this.#publicKey = keys.publicKey;
    this.#store = store;
    this.#clock = clock;
  }

  /** The public key, for those who check tokens themselves. */
  async jwk(): Promise<JWK> {
    this.#jwk ??= this.#makeJwk();
    return await this.#jwk;
  }

  async sign(
    subject: TokenSubject,
    audiences: readonly string[],
    seconds: number,
  ): Promise<{ readonly token: string; readonly expiresMs: number }> {
    const nowSeconds = Math.floor(this.#clock.now() / 1_000);
    const { kid = '' } = await this.jwk();
    const { namespace, name, uid, pod, node } = subject;
    const token = await new SignJWT({
      'kubernetes.io': {
        namespace,
        ...(node && { node: { name: node.name, uid: node.uid } }),
        ...(pod && { pod: { name: pod.name, uid: pod.uid } }),
        serviceaccount: { name, uid },
      },
    })
      .setProtectedHeader({ alg: ALGORITHM, kid })
      .setIssuer(ISSUER)
      .setSubject(serviceAccountName(namespace, name))
      .setAudience([...audiences])
      .setIssuedAt(nowSeconds)
      .setNotBefore(nowSeconds)
      .setExpirationTime(nowSeconds + seconds)
      .setJti(randomUUID())
      .sign(this.#key);
    return { token, expiresMs: (nowSeconds + seconds) * 1_000 };
  }

  /** @param audiences - The token must be for one of them. */
  async verify(token: string, audiences: readonly string[]): Promise<TokenVerdict> {
    if (token.length > TOKEN_BYTES) return { valid: false, reason: 'token too long' };
    try {
      const { payload } = await jwtVerify(token, this.#publicKey, {
        issuer: ISSUER,
        algorithms: [ALGORITHM],
        currentDate: new Date(this.#clock.now()),
        requiredClaims: ['exp', 'sub', 'aud'],
      });
      const named = [payload.aud ?? []].flat();
      const common = audiences.filter((audience) => named.includes(audience));
      if (common.length === 0) {
        return {
          valid: false,
          reason: `token audiences ${JSON.stringify(named)} is invalid for the target audiences ${JSON.stringify(audiences)}`,
        };
      }
      return this.#stillStands(payload as unknown as JsonObject, common);
    } catch (error) {
      return { valid: false, reason: messageOf(error) };
    }
  }

  #stillStands(claims: JsonObject, audiences: readonly string[]): TokenVerdict {
    const own = claims['kubernetes.io'];
    const namespace = textAt(own, 'namespace') ?? '';
    const name = textAt(own, 'serviceaccount', 'name') ?? '';
    const uid = textAt(own, 'serviceaccount', 'uid') ?? '';
    const account = this.#store.get('serviceaccounts', `${namespace}/${name}`);
    if (!account || uidOf(account) !== uid)
      return { valid: false, reason: 'service account token has been invalidated' };
    const extra: Record<string, readonly string[]> = {};
    const add = (key: string, value: string) => {
      extra[`authentication.kubernetes.io/${key}`] = [value];
    };
    const jti = textAt(claims, 'jti');
    if (jti) add('credential-id', `JTI=${jti}`);
    if (isObject(own) && isObject(own['pod'])) {
      const pod = { name: textAt(own, 'pod', 'name') ?? '', uid: textAt(own, 'pod', 'uid') ?? '' };
      const stored = this.#store.get('pods', `${namespace}/${pod.name}`);
      if (!stored || uidOf(stored) !== pod.uid) return { valid: false, reason: 'pod of the token is gone' };
      add('pod-name', pod.name);
      add('pod-uid', pod.uid);
    }
    if (isObject(own) && isObject(own['node'])) {
      add('node-name', textAt(own, 'node', 'name') ?? '');
      add('node-uid', textAt(own, 'node', 'uid') ?? '');
    }
    const user: User = {
      name: serviceAccountName(namespace, name),
      uid,
      groups: serviceAccountGroups(namespace),
      extra,
    };
    return { valid: true, user, audiences };
  }

  async #makeJwk(): Promise<JWK> {
    const jwk = await exportJWK(this.#publicKey);
    return { ...jwk, kid: await calculateJwkThumbprint(jwk), alg: ALGORITHM, use: 'sig' };
  }
}
