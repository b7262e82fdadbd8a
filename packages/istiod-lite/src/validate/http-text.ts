/** Whether texts can stand in an HTTP message. Pure. */

/** A header's name, a cookie's, a method. */
export function isToken(text: string): boolean {
  return /^[-!#$%&'*+.^_`|~0-9A-Za-z]+$/.test(text);
}

/** The attribute `Path`. */
export function isCookiePath(text: string): boolean {
  return /^[\x20-\x3a\x3c-\x7e]*$/.test(text);
}
