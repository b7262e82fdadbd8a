/**
 * The path of a request in the one form that policies, routes and the endpoint all see, so that no spelling of a path gets
 * past a policy and still means the same to the application.
 *
 * The modes are Istio's (meshConfig.pathNormalization). Nothing is decoded twice, and so a `%` that begins no escape is
 * refused: what is decoded behind it could complete one that only the application would see. The query is not touched.
 */
import type { PathNormalization } from '../resources/mesh-settings.ts';

export type NormalizedPath =
  | { readonly kind: 'path'; readonly path: string }
  /** Answer 400; 404 where there is no path at all, as Envoy does. */
  | { readonly kind: 'refuse'; readonly reason: PathRefusalReason };

export type PathRefusalReason = 'no-path' | 'fragment-in-path' | 'nul-in-path' | 'bad-percent-encoding';

/** @param path - With query. */
export function normalizePath(mode: PathNormalization, path: string): NormalizedPath {
  // `OPTIONS *` asks about all paths, and a policy about all of them, `/*`, would not see it.
  if (path.charCodeAt(0) !== SLASH) return { kind: 'refuse', reason: 'no-path' };
  if (!UNUSUAL.test(path)) return { kind: 'path', path };
  if (path.includes('#')) return { kind: 'refuse', reason: 'fragment-in-path' };
  const question = path.indexOf('?');
  const only = question < 0 ? path : path.slice(0, question);
  if (only.includes('%00')) return { kind: 'refuse', reason: 'nul-in-path' };
  if (mode === 'NONE') return { kind: 'path', path };
  if (LONE_PERCENT.test(only)) return { kind: 'refuse', reason: 'bad-percent-encoding' };
  const query = question < 0 ? '' : path.slice(question);
  return { kind: 'path', path: normalized(mode, only) + query };
}

const SLASH = 0x2f;
/** What any mode would look at; a path without it is as it should be. */
const UNUSUAL = /[%\\#]|\/[./]/;

const LONE_PERCENT = /%(?![0-9a-f]{2})/i;

function normalized(mode: Exclude<PathNormalization, 'NONE'>, path: string): string {
  const decoded =
    mode === 'DECODE_AND_MERGE_SLASHES' ? path.replace(/%2f/gi, '/').replace(/%5c/gi, '\\') : path;
  const slashed = decodeUnreserved(decoded).replaceAll('\\', '/');
  const resolved = removeDotSegments(slashed);
  return mode === 'BASE' ? resolved : resolved.replace(/\/{2,}/g, '/');
}

/** Letters, digits, `-`, `.`, `_` and `~` mean the same in either spelling; every other octet stays as it was written. */
function decodeUnreserved(path: string): string {
  if (!path.includes('%')) return path;
  return path.replace(/%(?:2[de]|3\d|[46][1-9a-f]|[57][\da]|5f|7e)/gi, (triplet) => {
    const char = String.fromCharCode(Number.parseInt(triplet.slice(1), 16));
    return /[\w\-.~]/.test(char) ? char : triplet;
  });
}

/** RFC 3986 §5.2.4 for a path that begins with a slash: nothing is above the root. */
function removeDotSegments(path: string): string {
  if (!path.includes('/.')) return path;
  const kept: string[] = [];
  const segments = path.split('/');
  for (const [index, segment] of segments.entries()) {
    const isLast = index === segments.length - 1;
    if (segment === '..') {
      if (kept.length > 1) kept.pop();
      if (isLast) kept.push('');
    } else if (segment === '.') {
      if (isLast) kept.push('');
    } else {
      kept.push(segment);
    }
  }
  return kept.join('/');
}
