/** One field of a message, as routes and settings write it. */

export interface HeaderField {
  /** In lower case. */
  readonly name: string;
  readonly value: string;
}
