/** What an expression may cost whoever reads it. */

/** An expression as a user writes it, in characters. */
export const MAX_EXPRESSION_CHARS = 4_096;
/** Parts of an expression. */
export const MAX_EXPRESSION_NODES = 512;
/** Parentheses, lists and operators within each other. */
export const MAX_EXPRESSION_DEPTH = 32;
