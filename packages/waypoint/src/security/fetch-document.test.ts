import { describe, expect, test } from '@jest/globals';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { type FetchDocumentDeps, documentFetcher } from './fetch-document.ts';

type Web = (url: string, init: RequestInit) => Response | Promise<Response>;

function fetcher(web: Web, more: Partial<FetchDocumentDeps> = {}) {
  const asked: string[] = [];
  const clock = new FakeClock();
  const get = documentFetcher({
    clock,
    fetch: (async (url: URL, init: RequestInit) => {
      asked.push(url.href);
      return await web(url.href, init);
    }) as typeof globalThis.fetch,
    viaMesh: () => undefined,
    ...more,
  });
  return { get: (url: string, maxBytes = 100) => get(url, { timeoutMs: 1_000, maxBytes }), asked, clock };
}

const redirect = (location: string) => new Response(null, { status: 302, headers: { location } });

describe('a document', () => {
  test('is its text', async () => {
    const { get } = fetcher(() => new Response('{"a":"é"}'));
    expect(await get('https://a/k')).toBe('{"a":"é"}');
  });

  test('comes after redirects, but no more than three', async () => {
    const chain = fetcher((url) =>
      url.endsWith('3') ? new Response('ok') : redirect(`/${Number(url.slice(-1)) + 1}`),
    );
    expect(await chain.get('https://a/0')).toBe('ok');
    expect(chain.asked).toEqual(['https://a/0', 'https://a/1', 'https://a/2', 'https://a/3']);
    const circle = fetcher(() => redirect('/again'));
    await expect(circle.get('https://a/k')).rejects.toThrow('https://a/k redirects more than 3 times');
    expect(circle.asked).toHaveLength(4);
  });

  test.each(['http://a/k', 'file:///etc/passwd', 'data:,x'])(
    'from https it is not looked for at %s',
    async (location) => {
      const { get } = fetcher(() => redirect(location));
      await expect(get('https://a/k')).rejects.toThrow('redirects to');
    },
  );

  test('of another status than 200 is none', async () => {
    await expect(fetcher(() => new Response('x', { status: 404 })).get('https://a/k')).rejects.toThrow(
      'https://a/k answers 404',
    );
  });

  test('is no longer than it may be', async () => {
    const { get } = fetcher(() => new Response('x'.repeat(101)));
    await expect(get('https://a/k')).rejects.toThrow('limit of 100 bytes');
    expect((await get('https://a/k', 101)).length).toBe(101);
  });

  test('is text', async () => {
    await expect(fetcher(() => new Response(Uint8Array.of(0xff))).get('https://a/k')).rejects.toThrow();
  });

  test('comes in time or not at all', async () => {
    const { get, clock } = fetcher(
      (_, { signal }) =>
        new Promise((__, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error))),
    );
    const asking = get('https://a/k');
    const failed = expect(asking).rejects.toThrow(
      'timed out after 1000 ms: no whole answer of https://a/k (outside the mesh)',
    );
    await clock.advance(1_000);
    await failed;
  });

  test('that comes too late says who was asked last, and how, whatever is interrupted', async () => {
    const { get, clock } = fetcher((url, { signal }) => {
      if (url === 'https://a/k') return redirect('https://b/k');
      const start = (body: ReadableStreamDefaultController) =>
        signal?.addEventListener('abort', () => body.error(new Error('aborted')));
      return new Response(new ReadableStream({ start }));
    });
    const slowBody = expect(get('https://a/k')).rejects.toThrow(
      'timed out after 1000 ms: no whole answer of https://b/k (outside the mesh), where https://a/k redirects to',
    );
    await clock.advance(1_000);
    await slowBody;
    const slowMesh = fetcher(() => new Response('web'), {
      viaMesh: (_, __, signal) =>
        new Promise((___, reject) =>
          signal.addEventListener('abort', () => reject(new Error('The operation was aborted'))),
        ),
    });
    const late = expect(slowMesh.get('http://keys/k')).rejects.toThrow(
      'timed out after 1000 ms: no whole answer of http://keys/k (through the mesh)',
    );
    await slowMesh.clock.advance(1_000);
    await late;
  });

  test('of a service of the mesh comes through the mesh', async () => {
    const { get, asked } = fetcher(() => new Response('web'), {
      viaMesh: (url) =>
        url.hostname === 'keys' ? Promise.resolve({ status: 200, body: Buffer.from('mesh') }) : undefined,
    });
    expect([await get('http://keys/k'), await get('http://other/k')]).toEqual(['mesh', 'web']);
    expect(asked).toEqual(['http://other/k']);
  });
});
