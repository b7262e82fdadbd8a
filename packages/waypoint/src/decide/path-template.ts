/**
 * Paths with wildcards as AuthorizationPolicy has them: `{*}` is one segment that is not empty, `{**}` any number of
 * segments, at least one, which may be empty.
 *
 * Linear in the path: `{**}` is the last operator, so what stands before it is compared from the front and what stands
 * behind it from the end.
 */

export interface PathTemplate {
  /** As the user wrote it. */
  readonly text: string;
  /** Segments; `undefined` is `{*}`. */
  readonly before: readonly (string | undefined)[];
  /** Segments behind the `{**}`; `undefined` when there is none. */
  readonly after: readonly string[] | undefined;
}

export function isPathTemplate(text: string): boolean {
  return text.includes('{*}') || text.includes('{**}');
}

/** @returns What is wrong with it, in words, if it is none. */
export function parsePathTemplate(text: string): PathTemplate | string {
  if (!text.startsWith('/')) return `${text} does not begin with a slash`;
  const segments = text.slice(1).split('/');
  const glob = segments.indexOf('{**}');
  const before = glob < 0 ? segments : segments.slice(0, glob);
  const after = glob < 0 ? undefined : segments.slice(glob + 1);
  const operators = after?.find((segment) => segment === '{*}' || segment === '{**}');
  if (operators !== undefined) return `${text}: nothing but text may follow {**}`;
  const stray = [...before.filter((segment) => segment !== '{*}'), ...(after ?? [])].find((segment) =>
    /[*{}]/.test(segment),
  );
  if (stray !== undefined) return `${text}: ${stray} is neither {*}, {**} nor text`;
  return { text, before: before.map((segment) => (segment === '{*}' ? undefined : segment)), after };
}

/** @param path - Without query. */
export function pathTemplateMatches(template: PathTemplate, path: string): boolean {
  if (!path.startsWith('/')) return false;
  const { before, after } = template;
  let at = 1;
  for (const [index, segment] of before.entries()) {
    const slash = path.indexOf('/', at);
    const end = slash < 0 ? path.length : slash;
    if (segment === undefined ? end === at : end - at !== segment.length || !path.startsWith(segment, at)) {
      return false;
    }
    const isLast = after === undefined && index === before.length - 1;
    if (isLast) return slash < 0;
    if (slash < 0) return false;
    at = slash + 1;
  }
  if (after === undefined) return false;
  const rest = after.length === 0 ? '' : `/${after.join('/')}`;
  return path.length - rest.length >= at && path.endsWith(rest);
}
