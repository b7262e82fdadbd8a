/** A path with a part of it replaced, as rewrites and redirects do. The query stays, unless the new path brings its own. */
import type { PathChange } from '../resources/http-route.ts';
import { rewriteText } from '../resources/regex-rewrite.ts';

/**
 * @param path - With query.
 * @param matchedPrefixLength - Of the prefix that matched, without its last slash.
 * @returns Always begins with a slash.
 */
export function changePath(change: PathChange, path: string, matchedPrefixLength: number): string {
  const question = path.indexOf('?');
  const only = question < 0 ? path : path.slice(0, question);
  const query = question < 0 ? '' : path.slice(question);
  const changed = withSlash(changedPath(change, only, matchedPrefixLength));
  return changed.includes('?') ? changed : changed + query;
}

function changedPath(change: PathChange, path: string, matchedPrefixLength: number): string {
  switch (change.kind) {
    case 'replace-full':
      return change.path;
    case 'regex':
      return rewriteText(change.rewrite, path);
    case 'replace-prefix': {
      const rest = path.slice(matchedPrefixLength);
      const isWhole = rest === '' || rest.startsWith('/');
      // A text prefix of a VirtualService is replaced as text.
      if (!isWhole) return change.path + rest;
      const prefix = change.path.endsWith('/') ? change.path.slice(0, -1) : change.path;
      return prefix + rest;
    }
    default:
      return change satisfies never;
  }
}

function withSlash(path: string): string {
  return path.startsWith('/') ? path : `/${path}`;
}
