/**
 * Texts that end up in a request or a response: what HTTP would not take is refused here, where the status can say so.
 * Upstream's definitions let hardly any of it in.
 */
import { isToken } from '@ambit/core/http-text';
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

/** @throws {@link RuleRefusal} */
export function hostText(host: string): string {
  if (!/^[\w.\-:[\]*%~]*$/.test(host)) throw new RuleRefusal(`"${host}" is not a host`);
  return host;
}
