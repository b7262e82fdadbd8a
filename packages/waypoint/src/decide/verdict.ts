/** Whether policies let a request or a connection through, and who says so. */

export type Verdict =
  /** `by` is the policy that matched; `undefined` when no ALLOW policy is attached. */
  { readonly kind: 'allow'; readonly by: string | undefined } | Denial;

/** A request gets 403, a connection is closed. */
export type Denial =
  /** A DENY policy matched; `rule` counts from 0. */
  | { readonly kind: 'deny'; readonly by: string; readonly rule: number }
  /** ALLOW policies are attached, and none of them matched. */
  | { readonly kind: 'no-allow-matched' }
  /** A policy that is attached cannot be read. */
  | { readonly kind: 'unreadable'; readonly by: string; readonly problem: string };

/** A provider to ask, for the CUSTOM policies that match. */
export interface ExternalCheck {
  readonly provider: string;
  /** Their keys. */
  readonly policies: readonly string[];
}

/** In the words of access logs; `undefined` when it allows. */
export function refusalOf(verdict: Verdict): string | undefined {
  switch (verdict.kind) {
    case 'allow':
      return undefined;
    case 'deny':
      return `explicitly denied by: ${verdict.by}, rule ${verdict.rule}`;
    case 'no-allow-matched':
      return 'allow policies exist, but none allowed';
    case 'unreadable':
      return `${verdict.by} cannot be read: ${verdict.problem}`;
    default:
      return verdict satisfies never;
  }
}
