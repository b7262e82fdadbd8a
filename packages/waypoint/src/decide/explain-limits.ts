/** How much an explanation tells; beyond it, it tells how much there would be more. */

/** Policies, rules of one, routes' matches, endpoints. */
export const MAX_EXPLAINED = 100;
/** Values of one condition, alternatives of one part. */
export const MAX_EXPLAINED_VALUES = 20;
/** Characters of one value. */
export const MAX_EXPLAINED_TEXT = 200;
