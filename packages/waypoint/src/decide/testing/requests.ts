/** Requests, connections and routes for tests, with every part that a test is not about filled in. */
import {
  createWaypointResource,
  encodeWaypointResource,
  type HttpBackend,
  type HttpFilter,
  type HttpMatch,
  type HttpRule,
} from '@ambit/api/waypoint';
import type { HttpRoute } from '../../resources/http-route.ts';
import { decodeResource } from '../../resources/decode/decode.ts';
import type { ConnectionView, RequestView } from '../request-view.ts';

export const SERVICE = 'shop/cart.shop.svc.cluster.local';
const PARENT = { namespace: 'shop', hostname: 'cart.shop.svc.cluster.local', port: 0 };

export interface RequestParts {
  readonly method?: string;
  readonly authority?: string;
  readonly scheme?: 'http' | 'https';
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
}

export function request(path: string, parts: RequestParts = {}): RequestView {
  return {
    method: parts.method ?? 'GET',
    scheme: parts.scheme ?? 'http',
    authority: parts.authority ?? 'cart',
    path,
    fields: Object.entries(parts.headers ?? {}).flat(),
    version: '1.1',
  };
}

export function connection(parts: Partial<ConnectionView> = {}): ConnectionView {
  return {
    identity: 'spiffe://cluster.local/ns/web/sa/front',
    sourceIp: '10.1.0.7',
    destination: { ip: '10.96.0.9', port: 80 },
    sni: undefined,
    ...parts,
  };
}

export interface RouteParts {
  readonly kind?: 'HTTPRoute' | 'GRPCRoute' | 'VirtualService';
  readonly name?: string;
  readonly namespace?: string;
  readonly createdMs?: number;
  readonly port?: number;
  readonly rules?: readonly DeepPartial<HttpRule>[];
  readonly unreadable?: string;
  readonly consumerNamespace?: string;
  readonly hedgeAfterMs?: number;
}

type DeepPartial<T> = T extends readonly (infer U)[]
  ? readonly DeepPartial<U>[]
  : T extends object
    ? { readonly [K in keyof T]?: DeepPartial<T[K]> | undefined }
    : T;

/** Through the bytes, as it comes in life. */
export function httpRoute(parts: RouteParts): HttpRoute {
  const { kind = 'HTTPRoute', namespace = 'shop', name = 'r', rules = [] } = parts;
  const message = createWaypointResource('HttpRoute', {
    origin: { kind, namespace, name, createdMs: BigInt(parts.createdMs ?? 1_000) },
    parents: [{ ...PARENT, port: parts.port ?? 0 }],
    inOrder: kind === 'VirtualService',
    grpc: kind === 'GRPCRoute',
    rules: rules as readonly HttpRule[],
    unreadable: parts.unreadable ?? '',
    consumerNamespace: parts.consumerNamespace ?? '',
    hedgeAfterMs: parts.hedgeAfterMs ?? 0,
  });
  const bytes = encodeWaypointResource('HttpRoute', message);
  const decoded = decodeResource('HttpRoute', `${kind}/${namespace}/${name}`, bytes, undefined);
  if (decoded.kind === 'problem') throw new Error(decoded.problem);
  return decoded.value;
}

export function exactPath(value: string): DeepPartial<HttpMatch> {
  return { path: { kind: { $case: 'exact', value } } };
}

export function prefixPath(value: string): DeepPartial<HttpMatch> {
  return { path: { kind: { $case: 'segmentPrefix', value } } };
}

export function textPrefixPath(value: string, ignoreCase = false): DeepPartial<HttpMatch> {
  return { path: { kind: { $case: 'textPrefix', value }, ignoreCase } };
}

export function regexPath(value: string): DeepPartial<HttpMatch> {
  return { path: { kind: { $case: 'regex', value } } };
}

export function exactHeaders(headers: Readonly<Record<string, string>>): DeepPartial<HttpMatch> {
  const entries = Object.entries(headers);
  return { headers: entries.map(([name, value]) => ({ name, value: { kind: { $case: 'exact', value } } })) };
}

export function exactQuery(parameters: Readonly<Record<string, string>>): DeepPartial<HttpMatch> {
  const entries = Object.entries(parameters);
  return {
    queryParameters: entries.map(([name, value]) => ({ name, value: { kind: { $case: 'exact', value } } })),
  };
}

export function exactMethod(value: string): DeepPartial<HttpMatch> {
  return { method: { kind: { $case: 'exact', value } } };
}

/** A backend that is known by its port. */
export function backend(
  port: number,
  weight = 1,
  more: DeepPartial<HttpBackend> = {},
): DeepPartial<HttpBackend> {
  return { target: { $case: 'service', value: { ...PARENT, port } }, weight, ...more };
}

export function filter(kind: DeepPartial<HttpFilter['kind']>): DeepPartial<HttpFilter> {
  return { kind };
}
