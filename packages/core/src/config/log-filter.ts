/** Log filters as Istio's tools write them: levels, and scopes that may carry the name of Istio's crate in front. */
import { type LogFilter, parseLogFilter } from '../log.ts';

/** RUST_LOG: a bare scope logs everything, and nothing at all is errors only. */
export function logFilterOfVariable(text: string): LogFilter | undefined {
  const directives = directivesOf(text).map((directive) =>
    isScope(directive) ? `${directive}=trace` : directive,
  );
  return parseLogFilter(directives.join(',') || 'error');
}

/** `/logging?level=…`: what is said is added to `before`. A bare scope is refused. */
export function logFilterWith(before: string, added: string): LogFilter | undefined {
  return parseLogFilter([...directivesOf(before), ...directivesOf(added)].join(','));
}

function directivesOf(text: string): readonly string[] {
  const directives = text.split(',').map((directive) =>
    directive
      .trim()
      .replace(/^ztunnel(::|=)/, '')
      .replace(/^ztunnel$/, 'trace'),
  );
  return directives.filter((directive) => directive !== '');
}

function isScope(directive: string): boolean {
  return /^[\w:.-]+$/.test(directive) && !/^(off|error|warn|info|debug|trace)$/i.test(directive);
}
