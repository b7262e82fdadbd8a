/**
 * `ambit install` and `ambit upgrade`: look, show the plan, ask, apply in order, wait until everything runs.
 *
 * Nothing is written before every check has passed and the API server has accepted each object in a dry run. What is
 * applied stays when this is interrupted, and another run goes on from there. An upgrade goes through the components one
 * after the other and stops at the first that does not become ready, so that the others stay as they were.
 */
import { stringify } from 'yaml';
import type { Context } from '../context.ts';
import { InstallError, NotInTimeError, UsageError } from '../errors.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { applyChanges, type ApplyOptions, examine, removeOne } from '../install/apply.ts';
import { COMPONENTS, type ComponentName, WORKLOADS } from '../install/components.ts';
import type { CheckOutcome } from '../install/decide/checks.ts';
import { type Action, countsOf, isNoOp, type PlannedChange } from '../install/decide/plan.ts';
import { inspect, type Target, targetOf } from '../install/installation.ts';
import { leftovers } from '../install/leftovers.ts';
import { titleOf } from '../install/manifest.ts';
import { orderOf } from '../install/kinds.ts';
import { planText } from '../install/plan-text.ts';
import { waitForWorkloads } from '../install/rollout.ts';

type Operation = 'install' | 'upgrade';

export async function install(context: Context): Promise<ExitCode> {
  return await perform(context, 'install');
}

export async function upgrade(context: Context): Promise<ExitCode> {
  return await perform(context, 'upgrade');
}

interface Plan {
  readonly target: Target;
  readonly changes: readonly PlannedChange[];
  readonly notes: readonly string[];
  readonly from: ReadonlyMap<ComponentName, string>;
}

async function perform(context: Context, operation: Operation): Promise<ExitCode> {
  const { options, print } = context;
  const plan = await makePlan(context, operation);
  if (options.dryRun && options.output !== 'table') {
    print(manifestsText(plan, options.output));
    return EXIT.ok;
  }
  if (options.output === 'table') print(planText({ operation, ...plan }));
  if (options.dryRun) {
    print('Nothing was changed (--dry-run).\n');
    return EXIT.ok;
  }
  if (!isNoOp(plan.changes)) {
    await confirm(context, `${operation === 'install' ? 'Install' : 'Upgrade'} (${countsOf(plan.changes)})?`);
    try {
      await carryOut(context, operation, plan);
    } catch (error) {
      if (context.signal.aborted) context.warn('what was applied stays; run this again to go on');
      throw error;
    }
  }
  return await conclude(context, operation, plan);
}

async function makePlan(context: Context, operation: Operation): Promise<Plan> {
  const { client, signal } = context;
  const target = await targetOf(context, await context.shipped());
  const { live, outcomes, installedVersions } = await inspect(context, target, operation);
  const refusals = textsOf(outcomes, 'refusal');
  for (const refusal of refusals) context.warn(refusal);
  if (refusals.length > 0) throw new InstallError('nothing was changed');
  const changes = await examine(target.parts, live, applyOptionsOf(context));
  const removed = (await leftovers(client, target.parts, signal))
    .filter(({ component }) => target.selected.includes(component))
    .map((part): PlannedChange => ({ action: 'remove', part }));
  return {
    target,
    changes: [...changes, ...removed],
    notes: textsOf(outcomes, 'note'),
    from: installedVersions,
  };
}

function textsOf(outcomes: readonly CheckOutcome[], kind: CheckOutcome['kind']): readonly string[] {
  return outcomes.filter((outcome) => outcome.kind === kind).map(({ text }) => text);
}

function applyOptionsOf({ client, clock, options, signal }: Context): ApplyOptions {
  return { client, clock, signal, forceConflicts: options.forceConflicts };
}

/** @throws if the answer is not yes. */
export async function confirm({ ask, options }: Context, question: string): Promise<void> {
  if (options.yes) return;
  const answer = await ask(question);
  if (answer === undefined)
    throw new UsageError(
      'nobody can be asked here, as standard input is no terminal: --yes goes on without asking, --dry-run shows the plan alone',
    );
  if (!answer) throw new InstallError('not confirmed; nothing was changed');
}

const DONE: Readonly<Record<Action, string>> = {
  create: 'created',
  change: 'changed',
  'take-over': 'took over',
  remove: 'removed',
  unchanged: 'left',
  keep: 'left',
};

/** A first installation writes everything and waits once; where a mesh runs, one component after the other. */
async function carryOut(context: Context, operation: Operation, plan: Plan): Promise<void> {
  const { options, print } = context;
  const say = (line: string) => (options.output === 'table' ? print(`${line}\n`) : undefined);
  const written = plan.changes.filter(({ action }) => action !== 'remove');
  const stages: readonly (readonly ComponentName[])[] =
    operation === 'install' && plan.from.size === 0 ? [COMPONENTS] : COMPONENTS.map((name) => [name]);
  for (const stage of stages) {
    const now = written.filter(({ part }) => stage.includes(part.component));
    await applyChanges(now, applyOptionsOf(context), ({ action, part }) =>
      say(`${DONE[action]} ${titleOf(part)}`),
    );
    const isLast = stage === stages.at(-1);
    if (!isLast) await waitForStage(context, stage, plan, say);
  }
  const removals = plan.changes.filter(({ action }) => action === 'remove');
  for (const { part } of removals.toSorted((a, b) => orderOf(b.part.resource) - orderOf(a.part.resource))) {
    await removeOne(context, part);
    say(`removed ${titleOf(part)}`);
  }
}

async function waitForStage(
  context: Context,
  stage: readonly ComponentName[],
  { target, from }: Plan,
  say: (line: string) => void,
): Promise<void> {
  const { clock, options } = context;
  const workloads = WORKLOADS.filter(
    ({ component }) => stage.includes(component) && target.selected.includes(component),
  );
  if (!options.wait || workloads.length === 0) return;
  const deadlineMs = clock.monotonicMs() + options.timeoutMs;
  const { ready, problems } = await waitForWorkloads(context, workloads, deadlineMs, say);
  if (ready) return;
  const before = stage.map((name) => from.get(name)).find((version) => version !== undefined);
  throw new NotInTimeError(
    `not ready after ${options.timeoutMs / 1_000} s, so what comes after it was not touched: ${problems.join('; ')}. Run this again to go on${before === undefined ? '' : `; to go back, use the ambit command of ${before} with "upgrade --allow-downgrade"`}`,
  );
}

async function conclude(context: Context, operation: Operation, plan: Plan): Promise<ExitCode> {
  const { clock, options, print, warn } = context;
  const { target } = plan;
  const workloads = WORKLOADS.filter(({ component }) => target.selected.includes(component));
  const say = (line: string) => (options.output === 'table' ? print(`${line}\n`) : undefined);
  const deadlineMs = clock.monotonicMs() + options.timeoutMs;
  const { ready, problems } = options.wait
    ? await waitForWorkloads(context, workloads, deadlineMs, say)
    : { ready: false, problems: [] };
  if (options.output !== 'table') print(summary(operation, plan, ready, options.output));
  else if (ready)
    print(`Ambit ${target.version} is installed and ready. Next: ambit enroll NAMESPACE, or ambit status.\n`);
  else if (!options.wait)
    print(
      `${isNoOp(plan.changes) ? 'Nothing to change' : 'Applied'}; not waited for. "ambit status" says how it goes.\n`,
    );
  const before = plan.from.get('istiod');
  if (operation === 'upgrade' && before !== undefined && before !== target.version)
    say(`To go back: the ambit command of ${before}, with "upgrade --allow-downgrade".`);
  if (!options.wait || ready) return EXIT.ok;
  for (const problem of problems) warn(problem);
  warn(
    `not ready after ${options.timeoutMs / 1_000} s; what was applied stays: run this again to go on waiting`,
  );
  return EXIT.timeout;
}

function summary(
  operation: Operation,
  plan: Plan,
  ready: boolean,
  output: 'json' | 'yaml' | 'table',
): string {
  const { target, changes, notes } = plan;
  const value = {
    operation,
    version: target.version,
    values: target.values,
    ready,
    notes,
    objects: changes.map((change) => ({
      action: change.action,
      object: titleOf(change.part),
      component: change.part.component,
      ...(change.action === 'change' && { fields: change.fields }),
      ...('owners' in change && { takenFrom: change.owners }),
    })),
  };
  return output === 'yaml' ? stringify(value) : `${JSON.stringify(value, undefined, 2)}\n`;
}

/** What would be applied, as kubectl takes it. */
function manifestsText({ changes }: Plan, output: 'json' | 'yaml' | 'table'): string {
  const objects = changes
    .filter(({ action }) => action !== 'remove' && action !== 'keep')
    .map(({ part }) => part.object);
  if (output === 'json')
    return `${JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }, undefined, 2)}\n`;

  return objects.map((object) => `---\n${stringify(object, { lineWidth: 0 })}`).join('');
}
