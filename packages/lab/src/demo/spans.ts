/** Spans as Zipkin's API tells them. Pure. */

export interface ZipkinSpan {
  readonly traceId: string;
  readonly id: string;
  readonly parentId?: string;
  readonly name: string;
  /** Microseconds. */
  readonly duration: number;
  readonly localEndpoint: { readonly serviceName: string };
  readonly tags: Readonly<Record<string, string>>;
}

/** The list in the answer of `programs/fetch.ts`; none where there is no list. */
export function spansIn(output: string): readonly ZipkinSpan[] {
  const at = output.indexOf('[');
  if (at < 0) return [];
  try {
    return JSON.parse(output.slice(at)) as readonly ZipkinSpan[];
  } catch {
    return [];
  }
}

/** Who reports it, what was asked, what came of it, and how long it took, in one line. */
export function describeSpan({ id, name, duration, localEndpoint, tags }: ZipkinSpan): string {
  const asked = `${tags['http.method'] ?? '?'} ${tags['http.url'] ?? '?'}`;
  const ms = (duration / 1_000).toFixed(1);
  return `span ${id} of ${localEndpoint.serviceName}: ${name}, ${asked}, status ${tags['http.status_code'] ?? '?'}, from ${tags['peer.address'] ?? '?'} to ${tags['upstream_address'] ?? '?'}, ${ms} ms`;
}
