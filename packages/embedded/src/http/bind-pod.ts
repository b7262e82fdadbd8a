/** A scheduler's decision: the pod gets its node, once. */
import { badRequest, conflict } from '../errors.ts';
import { clone, ensureObject, isObject, type Json, listAt, objectAt, textAt } from '../json.ts';
import { subjectOf } from '../kinds/resource.ts';
import { timestamp } from '../object.ts';
import type { Context } from '../objects/context.ts';
import { updateObject } from '../objects/update.ts';
import { decodeBody, mediaType, readBody } from './body.ts';
import { type Call, writeOptionsOf } from './resource-handler.ts';
import { sendJson } from './respond.ts';

export async function bindPod(context: Context, call: Call): Promise<void> {
  const body = decodeBody(await readBody(call.request), mediaType(call.request));
  const node = textAt(body, 'target', 'name');
  if (!isObject(body) || !node) throw badRequest('a Binding must name its node in target.name');
  const { resource, namespace, name } = call.info;
  await updateObject(
    context,
    {
      resource,
      namespace,
      name,
      subresource: 'internal',
      pinned: false,
      change: (current) => {
        const bound = textAt(current, 'spec', 'nodeName');
        if (bound)
          throw conflict(
            subjectOf(resource, name),
            `pod ${name} is already assigned to node ${JSON.stringify(bound)}`,
          );
        const next = clone(current);
        ensureObject(next, 'spec')['nodeName'] = node;
        const status = ensureObject(next, 'status');
        const scheduled: Json = {
          type: 'PodScheduled',
          status: 'True',
          lastProbeTime: null,
          lastTransitionTime: timestamp(context.clock.now()),
        };
        const others = listAt(status, 'conditions').filter(
          (condition) => objectAt(condition)['type'] !== 'PodScheduled',
        );
        status['conditions'] = [...others, scheduled];
        return next;
      },
    },
    writeOptionsOf(call),
  );
  sendJson(call, 201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 });
}
