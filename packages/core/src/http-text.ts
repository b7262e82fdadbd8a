/** Whether texts can stand in an HTTP message. Pure. */

/** A field's name, a cookie's, a method (RFC 9110 §5.6.2). */
export function isToken(text: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text);
}

/** The attribute `Path` of a cookie. */
export function isCookiePath(text: string): boolean {
  return /^[\x20-\x3a\x3c-\x7e]*$/.test(text);
}

/** With the letters of ASCII in lower case, and everything else as it is: how HTTP and Envoy compare without case. */
export function asciiLowerCase(text: string): string {
  return /[\u0080-\uffff]/.test(text)
    ? text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase())
    : text.toLowerCase();
}
