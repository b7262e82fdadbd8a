/**
 * Paths with wildcards as AuthorizationPolicy has them: `{*}` is one segment, `{**}` any number of them.
 *
 * Linear in the path: there is at most one `{**}`, so that what stands before it is compared from the front and what
 * stands behind it from the end.
 */

export interface PathTemplate {
  /** As the user wrote it. */
  readonly text: string;
  /** `undefined` is `{*}`. */
  readonly before: readonly (string | undefined)[];
  /** Behind the `{**}`; `undefined` when there is none. */
  readonly after: readonly (string | undefined)[] | undefined;
}
