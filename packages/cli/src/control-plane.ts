/**
 * Questions to the control plane: its debug pages, which answer on the loopback of its pods alone.
 *
 * Every replica knows the same of objects, so one is enough; each knows of its own clients alone, so of these all are asked.
 */
import { type Pod, pods } from '@ambit/kube/resources/core';
import type { Context } from './context.ts';
import { NotFoundError, ProxyError } from './errors.ts';
import { listOf, type JsonObject, objectOf } from './json-value.ts';
import { hasMesh, noMesh } from './mesh-presence.ts';
import { isReady } from './pod-ready.ts';
import { proxyPage } from './proxy-page.ts';

const DEBUG_PORT = 8080;
/** As many as the control plane tells at once. */
const ITEMS = 50_000;

/**
 * The items of one page, from the first replica that answers.
 *
 * @throws {@link NotFoundError} if none is ready; {@link ProxyError} if none answers, or it has no such page.
 */
export async function itemsOfOne(
  context: Context,
  page: string,
  parameters: Readonly<Record<string, string>> = {},
): Promise<readonly JsonObject[]> {
  const { meshNamespace } = context.options;
  const ready = await replicas(context);
  if (ready.length === 0 && (await hasMesh(context)) === false)
    throw new NotFoundError(noMesh(meshNamespace));
  if (ready.length === 0)
    throw new NotFoundError(
      `no istiod is ready in namespace ${meshNamespace}; "ambit status" says what runs there`,
    );
  let problem: unknown;
  for (const pod of ready) {
    try {
      return await itemsOf(context, pod, page, parameters);
    } catch (error) {
      problem = error;
    }
  }
  throw problem;
}

/** The items of one page of every replica; `undefined`: one of them does not say, so what is missing is not known. */
export async function itemsOfAll(context: Context, page: string): Promise<readonly JsonObject[] | undefined> {
  const ready = await replicas(context);
  if (ready.length === 0) return undefined;
  const answers = await Promise.all(
    ready.map((pod) =>
      itemsOf(context, pod, page, {}).catch((error: unknown) => {
        if (error instanceof ProxyError) return undefined;
        throw error;
      }),
    ),
  );
  return answers.every((answer) => answer !== undefined) ? answers.flat() : undefined;
}

/** By its label, as Istio's chart sets it, too. */
export function isIstiod({ metadata }: Pod): boolean {
  return metadata.labels?.['app'] === 'istiod';
}

async function replicas({ client, options, signal }: Context): Promise<readonly Pod[]> {
  const { items } = await client.list(pods, { namespace: options.meshNamespace }, signal);
  return items.filter((pod) => isIstiod(pod) && isReady(pod) && pod.metadata.deletionTimestamp === undefined);
}

async function itemsOf(
  context: Context,
  { metadata: { namespace = '', name } }: Pod,
  page: string,
  parameters: Readonly<Record<string, string>>,
): Promise<readonly JsonObject[]> {
  const query = new URLSearchParams({ ...parameters, limit: String(ITEMS) });
  const at = { namespace, name, port: DEBUG_PORT };
  const answer = await proxyPage(context, 'istiod', at, `${page}?${query.toString()}`);
  if (answer === undefined)
    throw new ProxyError(
      `istiod ${namespace}/${name} has no ${page}: it is older than this command, or not Ambit's`,
    );
  return listOf(objectOf(answer)['items']).map(objectOf);
}
