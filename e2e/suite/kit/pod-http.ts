/** HTTP to a port of a pod's loopback, through the API server; and the logs that a pod wrote. */
import { request } from 'node:http';
import type { KubeClient } from '@ambit/kube/client';
import { refusal } from '@ambit/kube/errors';
import { type PodPort, portForward } from '@ambit/kube/port-forward';
import { pathOf } from '@ambit/kube/resource';
import { pods } from '@ambit/kube/resources/core';
import { readBody } from '@ambit/kube/transport';

const REQUEST_TIMEOUT_MS = 40_000;

export interface PodAnswer {
  readonly status: number;
  readonly body: string;
}

export async function askPod(
  client: KubeClient,
  to: PodPort,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
): Promise<PodAnswer> {
  const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  const stream = await portForward(client, to, signal);
  try {
    return await new Promise<PodAnswer>((resolve, reject) => {
      stream.on('error', reject);
      const asking = request({
        method,
        path,
        signal,
        headers: { host: 'localhost', connection: 'close' },
        createConnection: () => stream,
      });
      asking.on('error', reject);
      asking.on('response', (answer) => {
        const status = answer.statusCode ?? 0;
        readBody(`${method} ${path} of ${to.namespace}/${to.name}:${to.port}`, answer).then(
          (text) => resolve({ status, body: text }),
          reject,
        );
      });
      asking.end(body === undefined ? undefined : JSON.stringify(body));
    });
  } finally {
    stream.destroy();
  }
}

export interface LogSelection {
  readonly container?: string;
  readonly sinceSeconds?: number;
  readonly previous?: boolean;
}

export async function logsOf(
  client: KubeClient,
  pod: { readonly namespace: string; readonly name: string },
  { container, sinceSeconds, previous }: LogSelection = {},
): Promise<string> {
  const query = new URLSearchParams({
    ...(container !== undefined && { container }),
    ...(sinceSeconds !== undefined && { sinceSeconds: String(sinceSeconds) }),
    ...(previous === true && { previous: 'true' }),
  });
  const path = `${pathOf(pods, { ...pod, subresource: 'log' })}?${query.toString()}`;
  const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  const answer = await client.transport.send({ method: 'GET', path, signal });
  const text = await readBody(`logs of ${pod.namespace}/${pod.name}`, answer);
  const status = answer.statusCode ?? 0;
  if (status !== 200) throw refusal(`logs of ${pod.namespace}/${pod.name}`, status, text);
  return text;
}
