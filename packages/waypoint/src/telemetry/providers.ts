/** Which providers are in use, as rules name them one after the other. Pure. */

/** @returns those of the last rule that names any, else the mesh's own. */
export function providersInUse(
  rules: readonly { readonly providers: readonly string[] }[],
  defaults: readonly string[],
): readonly string[] {
  return rules.findLast(({ providers }) => providers.length > 0)?.providers ?? defaults;
}

/** Each rule with the providers that it is for: its own, or those of the rule before it. */
export function withProviders<R extends { readonly providers: readonly string[] }>(
  rules: readonly R[],
  defaults: readonly string[],
): readonly { readonly rule: R; readonly providers: readonly string[] }[] {
  let current = defaults;
  return rules.map((rule) => {
    if (rule.providers.length > 0) current = rule.providers;
    return { rule, providers: current };
  });
}
