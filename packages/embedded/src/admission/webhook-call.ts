/** One call of a webhook: to a URL, or to a Service, through whoever can reach pods. TLS always, answer bounded. */
import { request } from 'node:https';
import { connect as connectTcp, isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import type { Clock } from '@ambit/core/clock';
import type { PodDialer } from '../forward/dial.ts';
import { at, isObject, type JsonObject, listAt, numberAt, objectAt, textAt } from '../json.ts';
import { WEBHOOK_ANSWER_BYTES } from '../limits.ts';
import { labelsOf } from '../object.ts';
import type { ObjectStore } from '../storage/store.ts';

/** Sends `body` as JSON and resolves with the answer, decoded. Rejects with a reason for people. */
export type WebhookCaller = (client: JsonObject, body: JsonObject, timeoutMs: number) => Promise<unknown>;

interface Target {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly connect: () => Promise<Duplex>;
}

export function webhookCaller(
  store: ObjectStore,
  dialer: PodDialer | undefined,
  clock: Clock,
): WebhookCaller {
  return async (client, body, timeoutMs) => {
    const abort = new AbortController();
    const timer = clock.after(timeoutMs, () =>
      abort.abort(new Error(`no answer within ${timeoutMs / 1_000} s (context deadline exceeded)`)),
    );
    try {
      const target = targetOf(store, dialer, client);
      return await post(target, caOf(client), JSON.stringify(body), abort.signal);
    } finally {
      timer.cancel();
    }
  };
}

function caOf(client: JsonObject): string | undefined {
  const bundle = textAt(client, 'caBundle');
  return bundle ? Buffer.from(bundle, 'base64').toString() : undefined;
}

function targetOf(store: ObjectStore, dialer: PodDialer | undefined, client: JsonObject): Target {
  const url = textAt(client, 'url');
  if (url !== undefined) {
    const { protocol, hostname, port, pathname, search } = new URL(url);
    if (protocol !== 'https:') throw new Error(`${url}: want https`);
    const host = hostname.replace(/^\[(.*)\]$/, '$1');
    const number = Number(port || 443);
    return { host, port: number, path: pathname + search, connect: () => tcp(host, number) };
  }
  const service = objectAt(client, 'service');
  const [namespace, name] = [textAt(service, 'namespace') ?? '', textAt(service, 'name') ?? ''];
  const port = numberAt(service, 'port') ?? 443;
  const path = textAt(service, 'path') ?? '/';
  return {
    host: `${name}.${namespace}.svc`,
    port,
    path: path.startsWith('/') ? path : `/${path}`,
    connect: () => dialService(store, dialer, namespace, name, port),
  };
}

/** Connects to a ready endpoint: to its pod if pods can be dialled, else to its address. */
async function dialService(
  store: ObjectStore,
  dialer: PodDialer | undefined,
  namespace: string,
  name: string,
  port: number,
): Promise<Duplex> {
  const service = store.get('services', `${namespace}/${name}`);
  if (!service) throw new Error(`service ${JSON.stringify(`${namespace}/${name}`)} not found`);
  const listed = listAt(service, 'spec', 'ports').find((each) => numberAt(each, 'port') === port);
  if (!listed) throw new Error(`service ${JSON.stringify(`${namespace}/${name}`)} has no port ${port}`);
  const slices = store
    .list('endpointslices.discovery.k8s.io', namespace)
    .filter((slice) => labelsOf(slice)['kubernetes.io/service-name'] === name);
  for (const slice of slices) {
    const targetPort = listAt(slice, 'ports').find(
      (each) => (textAt(each, 'name') ?? '') === (textAt(listed, 'name') ?? ''),
    );
    const number = numberAt(targetPort, 'port');
    const endpoint = listAt(slice, 'endpoints').find((each) => at(each, 'conditions', 'ready') !== false);
    if (number === undefined || !endpoint) continue;
    const pod = objectAt(endpoint, 'targetRef');
    if (dialer && pod['kind'] === 'Pod') {
      return await dialer(
        { namespace: textAt(pod, 'namespace') ?? namespace, name: textAt(pod, 'name') ?? '' },
        number,
      );
    }
    const address = textAt(endpoint, 'addresses', 0);
    if (address !== undefined) return await tcp(address, number);
  }
  throw new Error(`no endpoints available for service ${JSON.stringify(name)}`);
}

async function tcp(host: string, port: number): Promise<Duplex> {
  const socket = connectTcp({ host, port });
  return await new Promise((resolve, reject) => {
    socket.once('connect', () => resolve(socket));
    socket.once('error', reject);
  });
}

async function post(
  target: Target,
  ca: string | undefined,
  body: string,
  signal: AbortSignal,
): Promise<unknown> {
  const raw = await abortable(target.connect(), signal);
  using _ = { [Symbol.dispose]: () => void raw.destroy() };
  const secure = connectTls({
    socket: raw,
    host: target.host,
    ...(isIP(target.host) === 0 && { servername: target.host }),
    ...(ca !== undefined && { ca }),
  });
  const answer = new Promise<unknown>((resolve, reject) => {
    const fail = (error: Error) => reject(signal.aborted ? (signal.reason as Error) : error);
    secure.once('error', fail);
    const sent = request(
      {
        method: 'POST',
        host: target.host,
        port: target.port,
        path: target.path,
        createConnection: () => secure,
        signal,
        headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('error', fail);
        response.on('data', (chunk: string) => {
          text += chunk;
          if (text.length <= WEBHOOK_ANSWER_BYTES) return;
          response.destroy(new Error(`answer of more than ${WEBHOOK_ANSWER_BYTES} bytes`));
        });
        response.on('end', () => {
          const status = response.statusCode ?? 0;
          if (status < 200 || status > 299) reject(new Error(`status ${status}: ${text.slice(0, 200)}`));
          else resolve(decoded(text));
        });
      },
    );
    sent.once('error', fail);
    sent.end(body);
  });
  return await answer;
}

/** Text that is no JSON is no answer: the caller says what it wanted. */
function decoded(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value as JsonObject) ? value : {};
  } catch {
    return {};
  }
}

/** What arrives after the caller has given up is closed. */
async function abortable(connecting: Promise<Duplex>, signal: AbortSignal): Promise<Duplex> {
  return await new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    connecting.then(
      (socket) => {
        signal.removeEventListener('abort', abort);
        if (signal.aborted) socket.destroy();
        else resolve(socket);
      },
      (error: unknown) => reject(error as Error),
    );
  });
}
