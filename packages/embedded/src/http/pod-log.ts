/** `kubectl logs`: what the runtime keeps of a pod's output, passed through. */
import { pipeline } from 'node:stream/promises';
import { badRequest, StatusError } from '../errors.ts';
import { listAt, textAt } from '../json.ts';
import { isTrue } from './request-info.ts';
import type { Call } from './resource-handler.ts';
import { type PodLogOptions, storedObject, type SubresourceDependencies } from './subresources.ts';

export async function podLog({ context, podLogs }: SubresourceDependencies, call: Call): Promise<void> {
  const pod = storedObject(context, call);
  const { namespace, name } = call.info;
  if (!podLogs)
    throw new StatusError('ServiceUnavailable', 'this server runs no pods, so it has no logs of them');
  const containers = listAt(pod, 'spec', 'containers').map((container) => textAt(container, 'name') ?? '');
  const container = call.query.get('container') ?? '';
  if (container !== '' && !containers.includes(container)) {
    throw badRequest(`container ${container} is not valid for pod ${name}`);
  }
  if (container === '' && containers.length > 1) {
    throw badRequest(
      `a container name must be specified for pod ${name}, choose one of: [${containers.join(' ')}]`,
    );
  }
  const stream = await podLogs({ namespace, name }, optionsOf(call, container || (containers[0] ?? '')));
  call.response.writeHead(200, { 'Content-Type': 'text/plain', 'Cache-Control': 'no-cache, private' });
  call.response.flushHeaders();
  // A client that goes away ends the stream; that is how `logs -f` stops.
  await pipeline(stream, call.response).catch(() => undefined);
}

function optionsOf({ query }: Call, container: string): PodLogOptions {
  const number = (name: string): number | undefined => {
    const text = query.get(name);
    if (text === null || text === '') return undefined;
    if (!/^\d{1,15}$/.test(text)) throw badRequest(`${name}: Invalid value: ${JSON.stringify(text)}`);
    return Number(text);
  };
  const [tailLines, sinceSeconds, limitBytes] = [
    number('tailLines'),
    number('sinceSeconds'),
    number('limitBytes'),
  ];
  return {
    container,
    follow: isTrue(query.get('follow')),
    previous: isTrue(query.get('previous')),
    timestamps: isTrue(query.get('timestamps')),
    ...(tailLines !== undefined && { tailLines }),
    ...(sinceSeconds !== undefined && { sinceSeconds }),
    ...(limitBytes !== undefined && { limitBytes }),
  };
}
