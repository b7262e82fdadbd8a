/**
 * Writing an installation: server-side apply by one field manager, in the order of the kinds.
 *
 * Applying is idempotent, so an interrupted installation is gone on with by running it again; what was applied stays.
 */
import type { Clock } from '@ambit/core/clock';
import type { KubeClient } from '@ambit/kube/client';
import { isConflict, isNotFound } from '@ambit/kube/errors';
import type { KubeObject } from '@ambit/kube/resource';
import { messageOf } from '@ambit/core/errors';
import { InstallError } from '../errors.ts';
import { listOf, objectOf } from '../json-value.ts';
import { ESTABLISH_WAIT_MS, INSTALL_POLL_MS, MAX_REQUESTS_AT_ONCE, TAKE_OVER_ATTEMPTS } from '../limits.ts';
import { mapLimited } from '../map-limited.ts';
import { takeOver } from './decide/co-owners.ts';
import { conflictText } from './decide/conflict-text.ts';
import { withRuntimeFields } from './decide/ownership.ts';
import { type Action, type Examined, type PlannedChange, planned, reasonToKeep } from './decide/plan.ts';
import { KINDS, orderOf } from './kinds.ts';
import { type Part, titleOf } from './manifest.ts';

export const FIELD_MANAGER = 'ambit-install';
const CONFLICT = 'somebody else has set fields';
const TAKE_OVER = '--force-conflicts takes them over';

export interface ApplyOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Takes fields that others have set, to other values or to the same: nobody owns them beside us afterwards. */
  readonly forceConflicts: boolean;
}

/**
 * Tries each part on the API server without writing, and says what would change.
 *
 * @throws {@link InstallError} if the server would refuse one, or somebody else has set a field of it.
 */
export async function examine(
  parts: readonly Part[],
  live: ReadonlyMap<string, KubeObject>,
  options: ApplyOptions,
): Promise<readonly PlannedChange[]> {
  const missing = new Set(
    parts
      .filter((part) => part.resource.kind === 'Namespace' && !live.has(titleOf(part)))
      .map(({ object }) => object.metadata.name),
  );
  const problems: string[] = [];
  const changes = await mapLimited(parts, MAX_REQUESTS_AT_ONCE, async (part): Promise<PlannedChange> => {
    const there = live.get(titleOf(part));
    if (there && reasonToKeep(part, there) !== undefined)
      return planned({ part, live: there, applied: there, owners: [] });
    const untried = part.resource.namespaced && missing.has(part.object.metadata.namespace ?? '');
    const ready = { ...part, object: withRuntimeFields(part.object, there) };
    const applied = untried ? undefined : await applyOne(ready, options, true).catch(noted);
    const taken = applied && options.forceConflicts ? takeOver(applied, FIELD_MANAGER) : undefined;
    const examined: Examined = { part: ready, live: there, applied, owners: taken?.owners ?? [] };
    return planned(examined);
  });
  if (problems.length > 0) {
    const advice = problems.some((one) => one.includes(CONFLICT)) ? `; ${TAKE_OVER}` : '';
    throw new InstallError(`nothing was changed: ${problems.join('; and ')}${advice}`);
  }
  return changes;

  /** All of them are told at once. */
  function noted(error: unknown): undefined {
    if (!(error instanceof InstallError)) throw error;
    problems.push(messageOf(error));
    return undefined;
  }
}

const WRITTEN: ReadonlySet<Action> = new Set(['create', 'change', 'take-over']);

/** Applies what a plan creates, changes and takes over; what is unchanged is not touched. */
export async function applyChanges(
  changes: readonly PlannedChange[],
  options: ApplyOptions,
  done: (change: PlannedChange) => void,
): Promise<void> {
  const due = changes.filter(({ action }) => WRITTEN.has(action));
  for (let order = 0; order <= KINDS.length; order++) {
    const now = due.filter(({ part }) => orderOf(part.resource) === order);
    await mapLimited(now, MAX_REQUESTS_AT_ONCE, async (change) => {
      const applied = await applyOne(change.part, options, false);
      if (options.forceConflicts) await takeOverFields(change.part, applied, options);
      done(change);
    });
    await mapLimited(now, MAX_REQUESTS_AT_ONCE, ({ part }) => established(part, options));
  }
}

async function applyOne(part: Part, options: ApplyOptions, dryRun: boolean): Promise<KubeObject> {
  const { client, forceConflicts, signal } = options;
  const { name, namespace } = part.object.metadata;
  const at = part.resource.namespaced ? { name, namespace } : { name };
  const patch = { type: 'apply', body: part.object, force: forceConflicts } as const;
  try {
    return await client.patch(part.resource, at, patch, { fieldManager: FIELD_MANAGER, dryRun }, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!isConflict(error))
      throw new InstallError(`${titleOf(part)} is refused by the API server: ${messageOf(error)}`, {
        cause: error,
      });
    const advice = dryRun ? '' : `; ${TAKE_OVER}`;
    throw new InstallError(
      `${CONFLICT} of ${titleOf(part)} to other values, ${conflictText(messageOf(error))}${advice}`,
      { cause: error },
    );
  }
}

/** Takes others off the fields that we have applied. What they own besides stays theirs. */
async function takeOverFields(part: Part, applied: KubeObject, options: ApplyOptions): Promise<void> {
  const { client, signal } = options;
  const { name, namespace } = part.object.metadata;
  const at = part.resource.namespaced ? { name, namespace } : { name };
  let object = applied;
  for (let left = TAKE_OVER_ATTEMPTS; ; left--) {
    const taken = takeOver(object, FIELD_MANAGER);
    if (!taken) return;
    const { resourceVersion } = object.metadata;
    const body = { metadata: { resourceVersion, managedFields: taken.managedFields } };
    try {
      await client.patch(part.resource, at, { type: 'merge', body }, { fieldManager: FIELD_MANAGER }, signal);
      return;
    } catch (error) {
      signal.throwIfAborted();
      // Somebody has written the object meanwhile, such as its status.
      if (!isConflict(error) || left <= 1)
        throw new InstallError(`fields of ${titleOf(part)} could not be taken over: ${messageOf(error)}`, {
          cause: error,
        });
      object = await client.get(part.resource, at, signal);
    }
  }
}

/** Waits until objects of a new kind can be written. */
async function established({ resource, object }: Part, options: ApplyOptions): Promise<void> {
  if (resource.kind !== 'CustomResourceDefinition') return;
  const { client, clock, signal } = options;
  const deadlineMs = clock.monotonicMs() + ESTABLISH_WAIT_MS;
  for (;;) {
    const live = await client.find(resource, object.metadata, signal);
    const { status } = (live ?? {}) as { readonly status?: unknown };
    const conditions = listOf(objectOf(status)['conditions']).map(objectOf);
    if (conditions.some((one) => one['type'] === 'Established' && one['status'] === 'True')) return;
    if (clock.monotonicMs() >= deadlineMs)
      throw new InstallError(
        `the API server does not serve ${object.metadata.name} ${ESTABLISH_WAIT_MS / 1_000} s after it was defined`,
      );
    await clock.sleep(INSTALL_POLL_MS, signal);
  }
}

/** Deletes an object; that it is gone already is no error. */
export async function removeOne(
  { client, signal }: Pick<ApplyOptions, 'client' | 'signal'>,
  { resource, object }: Pick<Part, 'resource' | 'object'>,
): Promise<void> {
  const { name, namespace, uid } = object.metadata;
  const options = { ...(uid !== undefined && { uid }), propagation: 'Background' };
  try {
    await client.delete(resource, resource.namespaced ? { name, namespace } : { name }, options, signal);
  } catch (error) {
    // Another object by the same name is none of ours.
    if (!isNotFound(error) && !isConflict(error)) throw error;
  }
}
