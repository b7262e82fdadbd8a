/**
 * Rules of a VirtualService that another one hands requests on to, made into rules of that other. Pure.
 *
 * As in Istio, what the delegate says goes before what its root says, a request must match both, and a pair of matches
 * that no request could satisfy is left out; so is one whose regular expressions nobody can compare.
 */
import type {
  HttpMatchRequest,
  StringMatch,
  VirtualServiceHttpRoute,
} from '@ambit/kube/resources/networking';

/** @param delegated - Rules of the delegate; those that delegate further are left out, as in Istio. */
export function mergedRoutes(
  root: VirtualServiceHttpRoute,
  delegated: readonly VirtualServiceHttpRoute[],
): readonly VirtualServiceHttpRoute[] {
  return delegated.flatMap((own): readonly VirtualServiceHttpRoute[] => {
    if (own.delegate) return [];
    const match = mergedMatches(root.match ?? [], own.match ?? []);
    if (!match) return [];
    const { delegate: _, ...inherited } = root;
    return [{ ...inherited, ...own, match, name: joinedName(root.name, own.name) }];
  });
}

function joinedName(root = '', own = ''): string {
  return [root, own].filter((name) => name !== '').join('-');
}

/** `undefined`: nothing can match. */
function mergedMatches(
  root: readonly HttpMatchRequest[],
  own: readonly HttpMatchRequest[],
): readonly HttpMatchRequest[] | undefined {
  if (root.length === 0) return own;
  if (own.length === 0) return root;
  const pairs = root.flatMap((above) => own.flatMap((below) => mergedMatch(above, below) ?? []));
  return pairs.length > 0 ? pairs : undefined;
}

const TEXTS = ['uri', 'scheme', 'method', 'authority'] as const;
const MAPS = ['headers', 'queryParams'] as const;

function mergedMatch(root: HttpMatchRequest, own: HttpMatchRequest): HttpMatchRequest | undefined {
  if (TEXTS.some((part) => !isWithin(root[part], own[part]))) return undefined;
  for (const part of MAPS)
    for (const [name, above] of Object.entries(root[part] ?? {}))
      if (!isWithin(above, own[part]?.[name])) return undefined;
  if (root.port !== undefined && own.port !== undefined && root.port !== own.port) return undefined;
  const namespaces = [root.sourceNamespace, own.sourceNamespace].filter((name) => name);
  if (new Set(namespaces).size > 1) return undefined;
  return {
    ...root,
    ...own,
    name: joinedName(root.name, own.name),
    headers: { ...root.headers, ...own.headers },
    queryParams: { ...root.queryParams, ...own.queryParams },
    withoutHeaders: { ...root.withoutHeaders, ...own.withoutHeaders },
    sourceLabels: { ...root.sourceLabels, ...own.sourceLabels },
    ...(own.gateways === undefined && root.gateways && { gateways: root.gateways }),
  };
}

/** Whether what `own` matches is part of what `root` matches, as far as can be told; said by one alone, it is. */
function isWithin(root: StringMatch | undefined, own: StringMatch | undefined): boolean {
  if (!root || !own) return true;
  if (root.regex !== undefined || own.regex !== undefined) return root.regex === own.regex;
  if (root.exact !== undefined) return own.exact === root.exact;
  if (root.prefix === undefined) return true;
  return (own.exact ?? own.prefix ?? '').startsWith(root.prefix);
}
