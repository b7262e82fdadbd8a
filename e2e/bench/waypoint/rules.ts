/**
 * Rules that both sides enforce in the benchmark: 20 of which the last one allows, and a token that every request brings.
 *
 * Envoy is told as Istio tells it: who the client is comes from the tunnel's certificate as filter state, and what the token
 * says as metadata of its check. Its check remembers tokens, which Istio does not ask for, since ours does too.
 */
import { generateKeyPairSync, sign } from 'node:crypto';
import {
  AuthorizationAction,
  type AuthorizationOperation,
  type AuthorizationSource,
  type WaypointFields,
  type WaypointResources,
} from '@ambit/api/waypoint';
import { CLIENT_IDENTITY, NAMESPACE } from './names.ts';

const RULES = 20;
const ISSUER = 'https://issuer.example';
const SUBJECT = 'alice';
const KEY_ID = 'bench';
const METHODS = ['GET', 'POST'];
const PEER = 'io.istio.peer_principal';
const FILTERS = 'type.googleapis.com/envoy.extensions.filters.http';

/** What the last of the rules allows. */
export const RULED_PATH = `/api/v${RULES - 1}/users/42`;

export interface Rules {
  /** What each request carries. */
  readonly token: string;
  readonly authentication: WaypointFields<WaypointResources['RequestAuthentication']>;
  readonly authorization: WaypointFields<WaypointResources['AuthorizationPolicy']>;
  readonly envoy: EnvoyRules;
}

/** Filters of Envoy: of who ends the tunnel, and of who decides on requests. */
export interface EnvoyRules {
  readonly atTunnel: readonly object[];
  readonly atRequest: readonly object[];
}

export function makeRules(): Rules {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  const jwks = JSON.stringify({
    keys: [{ ...publicKey.export({ format: 'jwk' }), kid: KEY_ID, alg: 'RS256', use: 'sig' }],
  });
  const claims = { iss: ISSUER, sub: SUBJECT, groups: ['users', 'readers'] };
  const signed = [{ alg: 'RS256', kid: KEY_ID }, claims].map(base64url).join('.');
  const token = `${signed}.${sign('sha256', Buffer.from(signed), privateKey).toString('base64url')}`;
  const targets = [{ kind: { $case: 'gateway' as const, value: `${NAMESPACE}/waypoint` } }];
  const origin = (kind: string) => ({ kind, namespace: NAMESPACE, name: 'rules', createdMs: 0n });
  return {
    token,
    authentication: {
      origin: origin('RequestAuthentication'),
      targets,
      rules: [{ issuer: ISSUER, jwks }],
    },
    authorization: {
      origin: origin('AuthorizationPolicy'),
      targets,
      action: AuthorizationAction.ALLOW,
      rules: each((i) => ({
        from: [
          {
            principals: [otherIdentity(i), CLIENT_IDENTITY].map(withoutScheme),
            requestPrincipals: [`${ISSUER}/${SUBJECT}`],
          } as unknown as AuthorizationSource,
        ],
        to: [{ methods: METHODS, paths: [`${prefixOf(i)}*`] } as unknown as AuthorizationOperation],
      })),
    },
    envoy: {
      atTunnel: [rememberPeer()],
      atRequest: [authenticate(jwks), authorize()],
    },
  };
}

const base64url = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
const each = <T>(make: (i: number) => T): T[] => Array.from({ length: RULES }, (_, i) => make(i));
const prefixOf = (i: number) => `/api/v${i}/`;
const otherIdentity = (i: number) => `spiffe://cluster.local/ns/other/sa/a${i}`;
const withoutScheme = (identity: string) => identity.replace('spiffe://', '');

function rememberPeer(): object {
  return {
    name: 'peer',
    typed_config: {
      '@type': `${FILTERS}.set_filter_state.v3.Config`,
      on_request_headers: [
        {
          object_key: PEER,
          factory_key: 'envoy.string',
          shared_with_upstream: 'ONCE',
          format_string: { text_format_source: { inline_string: '%DOWNSTREAM_PEER_URI_SAN%' } },
        },
      ],
    },
  };
}

function authenticate(jwks: string): object {
  return {
    name: 'envoy.filters.http.jwt_authn',
    typed_config: {
      '@type': `${FILTERS}.jwt_authn.v3.JwtAuthentication`,
      providers: {
        issuer: {
          issuer: ISSUER,
          local_jwks: { inline_string: jwks },
          payload_in_metadata: 'payload',
          jwt_cache_config: { jwt_cache_size: 100 },
        },
      },
      rules: [
        {
          match: { prefix: '/' },
          requires: {
            requires_any: { requirements: [{ provider_name: 'issuer' }, { allow_missing: {} }] },
          },
        },
      ],
    },
  };
}

function authorize(): object {
  const peer = (identity: string) => ({ filter_state: { key: PEER, string_match: { exact: identity } } });
  const claim = (name: string, value: string) => ({
    metadata: {
      filter: 'envoy.filters.http.jwt_authn',
      path: [{ key: 'payload' }, { key: name }],
      value: { string_match: { exact: value } },
    },
  });
  const method = (name: string) => ({ header: { name: ':method', string_match: { exact: name } } });
  const policies = each((i) => [
    // Envoy asks in the order of names.
    `rule-${String(i).padStart(2, '0')}`,
    {
      permissions: [
        {
          and_rules: {
            rules: [
              { or_rules: { rules: METHODS.map(method) } },
              { url_path: { path: { prefix: prefixOf(i) } } },
            ],
          },
        },
      ],
      principals: [
        {
          and_ids: {
            ids: [
              { or_ids: { ids: [otherIdentity(i), CLIENT_IDENTITY].map(peer) } },
              claim('iss', ISSUER),
              claim('sub', SUBJECT),
            ],
          },
        },
      ],
    },
  ]);
  return {
    name: 'rbac',
    typed_config: {
      '@type': `${FILTERS}.rbac.v3.RBAC`,
      rules: { action: 'ALLOW', policies: Object.fromEntries(policies) },
    },
  };
}
