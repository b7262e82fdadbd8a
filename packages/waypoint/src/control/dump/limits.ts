/** The bounds of `/config_dump`: it is made on the loop that serves requests. */

/** Things of one part; the others are counted. */
export const MAX_DUMPED = 5_000;
/** Items of a list within one of them: endpoints, rules, workloads of a subset. */
export const MAX_SHOWN_ITEMS = 1_000;
/** Characters of a text: a certificate bundle, a pattern. */
export const MAX_SHOWN_CHARS = 8_192;
