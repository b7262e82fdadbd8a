/** Changes of a request's query as a service that authorizes asks for them: what it does not name stays as it was written. */
import type { QueryChanges } from './external.ts';

export function withQuery(path: string, { set, remove }: QueryChanges): string {
  const question = path.indexOf('?');
  const before = question < 0 ? path : path.slice(0, question);
  const pieces = question < 0 ? [] : path.slice(question + 1).split('&');
  const changed = new Set([...set.map(([name]) => name), ...remove]);
  const removed = new Set(remove);
  // The last of a name counts, as it does of headers.
  const wanted = [...new Map(set)].filter(([name]) => !removed.has(name));
  const kept = pieces.filter((piece) => piece !== '' && !changed.has(nameOf(piece)));
  const all = [...kept, ...wanted.map(([name, value]) => `${written(name)}=${written(value)}`)];
  return all.length === 0 ? before : `${before}?${all.join('&')}`;
}

/** However it is spelled: nobody knows which spelling the application reads. */
function nameOf(piece: string): string {
  const [pair] = new URLSearchParams(piece);
  return pair?.[0] ?? '';
}

/** What a service has encoded stays so; what a query cannot hold is encoded. */
function written(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9\-._~!$'()*,;:@/?%]/gu, encodeURIComponent);
}
