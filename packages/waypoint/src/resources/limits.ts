/** The bounds of what a waypoint takes from its control plane; beyond one, the resource is a problem. */

/** Characters of a regular expression. */
export const MAX_REGEX_LENGTH = 1_024;
/** Instructions of a compiled one: what a character of text costs at worst. */
export const MAX_REGEX_PROGRAM_SIZE = 1_000;
/** Characters of a text that a regular expression is tried on; a longer one does not match. */
export const MAX_REGEX_TEXT_LENGTH = 8_192;
