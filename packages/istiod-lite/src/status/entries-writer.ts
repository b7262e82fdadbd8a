/**
 * Keeps our entries in a list of the statuses of one kind, and leaves alone those of other controllers.
 *
 * The list is one value to the API server, so it is written whole, and only onto the version that it was made
 * from: if somebody else wrote meanwhile, it is made anew from what the watch brings.
 */
import type { KubeClient } from '@ambit/kube/client';
import { isConflict } from '@ambit/kube/errors';
import { isEnding, type KubeObject, type Resource } from '@ambit/kube/resource';
import type { WantedParent } from '../translate/routes/route-status.ts';
import { type ControllerEntry, entriesToWrite, type EntryList } from './controller-entries.ts';
import { type StatusSources, StatusWriter } from './status-writer.ts';

/** What is not in `wanted` shall have no entry of ours. */
export interface EntriesWriterOptions<T extends KubeObject, E extends ControllerEntry>
  extends StatusSources<T, readonly WantedParent[]> {
  readonly client: KubeClient;
  readonly resource: Resource<T>;
  readonly list: EntryList<T, E>;
  /** Whose entries are ours. */
  readonly controllerName: string;
  readonly fieldManager: string;
}

export class EntriesWriter<T extends KubeObject, E extends ControllerEntry> extends StatusWriter<
  T,
  readonly WantedParent[],
  readonly E[]
> {
  constructor(options: EntriesWriterOptions<T, E>) {
    const { resource, list, controllerName } = options;
    super({
      ...options,
      name: `status of ${resource.kind}`,
      toWrite: (object, wanted = [], nowMs) =>
        isEnding(object) ? undefined : entriesToWrite(list, object, controllerName, wanted, nowMs),
      write: (object, entries, signal) => writeEntries(options, object, entries, signal),
    });
  }
}

async function writeEntries<T extends KubeObject, E extends ControllerEntry>(
  { client, resource, list, fieldManager }: EntriesWriterOptions<T, E>,
  object: T,
  entries: readonly E[],
  signal: AbortSignal,
): Promise<void> {
  const { name, namespace, uid, resourceVersion } = object.metadata;
  const body = { metadata: { uid, resourceVersion }, status: { [list.field]: entries } };
  const options = { fieldManager, subresource: 'status' };
  try {
    await client.patch(
      servedAs(resource, object),
      { name, namespace },
      { type: 'merge', body },
      options,
      signal,
    );
  } catch (error) {
    if (!isConflict(error)) throw error;
  }
}

/** In the version that the object came in. */
function servedAs<T extends KubeObject>(resource: Resource<T>, { apiVersion = '' }: T): Resource<T> {
  const version = apiVersion.slice(apiVersion.indexOf('/') + 1);
  return version === '' ? resource : { ...resource, version };
}
