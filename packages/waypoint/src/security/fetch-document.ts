/**
 * Documents from the web: key sets of token issuers. Bounded in time and size, and from nobody but who was asked: a
 * redirect is followed only by an address that may be asked as well.
 *
 * An address whose host is a service of the mesh is asked through the mesh instead, since such a service may take nothing
 * else; `viaMesh` says whether one is.
 */
import type { Clock } from '@ambit/core/clock';
import { LimitError, MeshError } from '@ambit/core/errors';
import type { FetchDocument } from './jwks.ts';

/** No answer, or one that is no document. */
export class FetchError extends MeshError {
  readonly code = 'FETCH';
  readonly side = 'upstream';
}

/** What of `fetch` is used here. */
export type WebFetch = (
  url: URL,
  init: {
    readonly signal: AbortSignal;
    readonly redirect: 'manual';
    readonly headers: Readonly<Record<string, string>>;
  },
) => Promise<Response>;

export interface FetchDocumentDeps {
  readonly clock: Clock;
  /** web-fetch.ts; tests bring another. */
  readonly fetch: WebFetch;
  /** `undefined`: not a service of the mesh. */
  readonly viaMesh: (
    url: URL,
    maxBytes: number,
    signal: AbortSignal,
  ) => Promise<{ readonly status: number; readonly body: Uint8Array }> | undefined;
}

const MAX_REDIRECTS = 3;

export function documentFetcher(deps: FetchDocumentDeps): FetchDocument {
  return async (address, { timeoutMs, maxBytes }) => {
    const late = new AbortController();
    const timer = deps.clock.after(timeoutMs, () => late.abort());
    const asked: Asked = { url: new URL(address), viaMesh: false };
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(await get(deps, asked, maxBytes, late.signal));
    } catch (error) {
      // Whatever was interrupted says only that it was: a socket, a body half read, a wait for an endpoint.
      throw late.signal.aborted ? tooLate(asked, address, timeoutMs) : error;
    } finally {
      timer.cancel();
    }
  };
}

/** Who is asked now, and how. */
interface Asked {
  url: URL;
  viaMesh: boolean;
}

function tooLate({ url, viaMesh }: Asked, address: string, timeoutMs: number): FetchError {
  const how = viaMesh ? 'through the mesh' : 'outside the mesh';
  const led = url.href === new URL(address).href ? '' : `, where ${address} redirects to`;
  return new FetchError(`timed out after ${timeoutMs} ms: no whole answer of ${url.href} (${how})${led}`);
}

async function get(
  deps: FetchDocumentDeps,
  asked: Asked,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const address = asked.url.href;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const { url } = asked;
    const fromMesh = deps.viaMesh(url, maxBytes, signal);
    asked.viaMesh = fromMesh !== undefined;
    const answer = await (fromMesh ?? viaWeb(deps.fetch, url, maxBytes, signal));
    if ('location' in answer) {
      asked.url = nextOf(url, answer.location);
      continue;
    }
    if (answer.body.length > maxBytes) throw new LimitError(url.href, maxBytes, 'bytes');
    if (answer.status !== 200) throw new FetchError(`${url.href} answers ${answer.status}`);
    return answer.body;
  }
  throw new FetchError(`${address} redirects more than ${MAX_REDIRECTS} times`);
}

/** From https never to http. */
function nextOf(from: URL, location: string): URL {
  const next = URL.parse(location, from.href);
  const isSafe = next?.protocol === 'https:' || (next?.protocol === 'http:' && from.protocol === 'http:');
  if (!next || !isSafe) throw new FetchError(`${from.href} redirects to ${location}`);
  return next;
}

type WebAnswer = { readonly status: number; readonly body: Uint8Array } | { readonly location: string };

async function viaWeb(fetch: WebFetch, url: URL, maxBytes: number, signal: AbortSignal): Promise<WebAnswer> {
  const response = await fetch(url, { signal, redirect: 'manual', headers: { accept: 'application/json' } });
  const location = response.headers.get('location');
  if (response.status >= 300 && response.status < 400 && location !== null) {
    await response.body?.cancel();
    return { location };
  }
  return { status: response.status, body: await readAtMost(response, maxBytes) };
}

async function readAtMost(response: Response, maxBytes: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of response.body ?? []) {
    bytes += piece.length;
    if (bytes > maxBytes) throw new LimitError(response.url, maxBytes, 'bytes');
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
