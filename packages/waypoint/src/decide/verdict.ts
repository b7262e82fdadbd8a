/** Whether policies let a request or a connection through, and who says so. */

/**
 * How the exchange asks: `externalChecks` names the providers of CUSTOM policies that match, each of which must let the
 * request pass; then `authorize` decides. Nothing is looked up for a request that is allowed but the verdict itself.
 */
export type Verdict =
  /** `by` is the policy that matched; `undefined` when no ALLOW policy is attached. */
  { readonly kind: 'allow'; readonly by: string | undefined } | Denial;

export type Denial =
  | { readonly kind: 'deny'; readonly by: string; readonly rule: number }
  /** ALLOW policies are attached, and none of them matched. */
  | { readonly kind: 'no-allow-matched' }
  /** A policy that is attached cannot be read. */
  | { readonly kind: 'unreadable'; readonly by: string; readonly problem: string };

/** A provider to ask, for the CUSTOM policies that match. */
export interface ExternalCheck {
  readonly provider: string;
  readonly policies: readonly string[];
  /** None of those policies is enforced: ask nobody, and tell of it. */
  readonly dryRun: boolean;
}

/** What the verdict would be with the policies that are not enforced. `undefined`: there are none. */
export type ShadowVerdict = Verdict | undefined;
