/** Istio's policies, with the fields of their specification. */
import type { LabelSelector } from '../label-selector.ts';
import type { KubeObject, Resource } from '../resource.ts';
import type { Condition } from './core.ts';

type Strings = readonly string[];

export interface Source {
  readonly principals?: Strings;
  readonly notPrincipals?: Strings;
  readonly requestPrincipals?: Strings;
  readonly notRequestPrincipals?: Strings;
  readonly namespaces?: Strings;
  readonly notNamespaces?: Strings;
  readonly serviceAccounts?: Strings;
  readonly notServiceAccounts?: Strings;
  readonly ipBlocks?: Strings;
  readonly notIpBlocks?: Strings;
  readonly remoteIpBlocks?: Strings;
  readonly notRemoteIpBlocks?: Strings;
  readonly trustDomains?: Strings;
  readonly notTrustDomains?: Strings;
}

export interface Operation {
  readonly hosts?: Strings;
  readonly notHosts?: Strings;
  readonly ports?: Strings;
  readonly notPorts?: Strings;
  readonly methods?: Strings;
  readonly notMethods?: Strings;
  readonly paths?: Strings;
  readonly notPaths?: Strings;
}

export interface PolicyCondition {
  readonly key: string;
  readonly values?: Strings;
  readonly notValues?: Strings;
}

export interface PolicyRule {
  readonly from?: readonly { readonly source?: Source }[];
  readonly to?: readonly { readonly operation?: Operation }[];
  readonly when?: readonly PolicyCondition[];
}

export interface PolicyTargetReference {
  readonly group?: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
}

export interface AuthorizationPolicySpec {
  readonly selector?: Pick<LabelSelector, 'matchLabels'>;
  readonly targetRef?: PolicyTargetReference;
  readonly targetRefs?: readonly PolicyTargetReference[];
  /** Default `ALLOW`. */
  readonly action?: string;
  readonly provider?: { readonly name?: string };
  readonly rules?: readonly PolicyRule[];
}

export interface AuthorizationPolicy extends KubeObject {
  readonly spec?: AuthorizationPolicySpec;
  readonly status?: { readonly conditions?: readonly Condition[] };
}

export interface PeerAuthenticationMode {
  readonly mode?: string;
}

export interface PeerAuthenticationSpec {
  readonly selector?: Pick<LabelSelector, 'matchLabels'>;
  readonly mtls?: PeerAuthenticationMode;
  /** Port numbers, as text. */
  readonly portLevelMtls?: Readonly<Record<string, PeerAuthenticationMode>>;
}

export interface PeerAuthentication extends KubeObject {
  readonly spec?: PeerAuthenticationSpec;
}

export interface JwtRule {
  readonly issuer?: string;
  readonly audiences?: Strings;
  readonly jwksUri?: string;
  /** The older spelling of `jwksUri`. */
  readonly jwks_uri?: string;
  readonly jwks?: string;
  readonly fromHeaders?: readonly { readonly name: string; readonly prefix?: string }[];
  readonly fromParams?: Strings;
  readonly fromCookies?: Strings;
  readonly outputPayloadToHeader?: string;
  readonly forwardOriginalToken?: boolean;
  readonly outputClaimToHeaders?: readonly { readonly header: string; readonly claim: string }[];
  readonly timeout?: string;
  readonly spaceDelimitedClaims?: Strings;
}

export interface RequestAuthenticationSpec {
  readonly selector?: Pick<LabelSelector, 'matchLabels'>;
  readonly targetRef?: PolicyTargetReference;
  readonly targetRefs?: readonly PolicyTargetReference[];
  readonly jwtRules?: readonly JwtRule[];
}

export interface RequestAuthentication extends KubeObject {
  readonly spec?: RequestAuthenticationSpec;
  readonly status?: { readonly conditions?: readonly Condition[] };
}

const security = { group: 'security.istio.io', version: 'v1', namespaced: true } as const;

export const authorizationPolicies: Resource<AuthorizationPolicy> = {
  ...security,
  kind: 'AuthorizationPolicy',
  plural: 'authorizationpolicies',
};

export const peerAuthentications: Resource<PeerAuthentication> = {
  ...security,
  kind: 'PeerAuthentication',
  plural: 'peerauthentications',
};

export const requestAuthentications: Resource<RequestAuthentication> = {
  ...security,
  kind: 'RequestAuthentication',
  plural: 'requestauthentications',
};
