/**
 * Texts that end up in a request or a response: what HTTP would not take is refused here, where the status can say so.
 * Upstream's definitions let hardly any of it in.
 */
import { isCookiePath, isToken } from '@ambit/core/http-text';
import { RuleRefusal } from './problems.ts';

/** In lower case. @throws {@link RuleRefusal} */
export function headerName(name: string): string {
  if (!isToken(name)) throw new RuleRefusal(`"${name}" is not a header`);
  return name.toLowerCase();
}

/** A cookie's name, a method. @throws {@link RuleRefusal} */
export function token(text: string): string {
  if (!isToken(text)) throw new RuleRefusal(`"${text}" is not a name`);
  return text;
}

/**
 * The path that a cookie is for. Empty is left to the waypoint; a browser that is told one without a slash before it takes
 * the path of the request instead.
 *
 * @throws {@link RuleRefusal}
 */
export function cookiePath(path: string): string {
  if (path !== '' && !(path.startsWith('/') && isCookiePath(path)))
    throw new RuleRefusal(`"${path}" is no path of a cookie`);
  return path;
}

/** @throws {@link RuleRefusal} */
export function headerValue(value: string): string {
  if (/[\r\n\0]/.test(value)) throw new RuleRefusal('a value has a line break in it');
  return value;
}

/** @throws {@link RuleRefusal} */
export function pathText(path: string): string {
  if (!/^[\x21-\x7e]*$/.test(path)) throw new RuleRefusal(`"${path}" is not a path`);
  return path;
}

/**
 * What stands before a path: with a slash at its beginning and none at its end. One that leads up or nowhere in particular
 * is refused: who is asked would see another path than is written.
 *
 * @throws {@link RuleRefusal}
 */
export function prefixText(path: string): string {
  if (!/^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})*$/.test(path))
    throw new RuleRefusal(`"${path}" is not a path`);
  const bare = path.replace(/^\//, '').replace(/\/$/, '');
  if (bare === '') return '';
  const isPlain = (segment: string) => segment !== '' && !/^(?:\.|%2e){1,2}$/i.test(segment);
  if (!bare.split('/').every(isPlain))
    throw new RuleRefusal(`"${path}" has a segment that is empty, . or ..`);
  return `/${bare}`;
}

/** @throws {@link RuleRefusal} */
export function hostText(host: string): string {
  if (!/^[\w.\-:[\]*%~]*$/.test(host)) throw new RuleRefusal(`"${host}" is not a host`);
  return host;
}
