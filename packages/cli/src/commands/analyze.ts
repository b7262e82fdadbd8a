/**
 * `ambit analyze`: every object that does not do what it says, or perhaps not what was meant, and why.
 *
 * The control plane finds it out, as it does for statuses and at admission; this command asks and shows, and adds what
 * the control plane does not read: kinds that nothing here heeds, and NetworkPolicies.
 */
import { namespaces } from '@ambit/kube/resources/core';
import { byTexts, type Context } from '../context.ts';
import { itemsOfOne } from '../control-plane.ts';
import { NotFoundError } from '../errors.ts';
import { isEnrolled } from '../enrolment.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { type JsonObject, textOf } from '../json-value.ts';
import { listed } from '../listed.ts';
import { MAX_FINDING_CHARS } from '../limits.ts';
import { networkPolicies } from '../preflight/cluster.ts';
import { closedToMesh, policyViewOf } from '../preflight/decide/network-policy.ts';
import { similarOf } from '../similar-names.ts';
import { printable } from '../table.ts';
import { type UnreadObject, unreadObjects } from '../unread-kinds.ts';

interface FindingRow {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** `error`: it does not do what it says; `warning`: perhaps not what was meant. */
  readonly level: 'error' | 'warning';
  readonly reason: string;
  readonly message: string;
}

export async function analyze(context: Context): Promise<ExitCode> {
  const { options, print, warn } = context;
  const { namespace } = options;
  const unseen: string[] = [];
  if (namespace !== undefined) await checkNamespace(context, namespace);
  const asked = namespace === undefined ? {} : { namespace };
  const found = (await itemsOfOne(context, '/debug/findings', asked)).map(rowOf);
  const unread = (await unreadObjects(context, namespace, unseen)).map(unreadRow);
  const closed = await closedPolicies(context, namespace, unseen);
  const rows = [...found, ...unread, ...closed].sort(
    byTexts(({ namespace: of, kind, name, level }) => [of, kind, name, level]),
  );
  print(options.output === 'json' ? `${JSON.stringify(rows, undefined, 2)}\n` : render(rows, namespace));
  if (unseen.length > 0) warn(`you may not list ${unseen.join(', ')}, so what is wrong there is not known`);
  return unseen.length > 0 || rows.some(({ level }) => level === 'error') ? EXIT.unknown : EXIT.ok;
}

/** That all is well in a namespace that does not exist would be said of every misspelt one. */
async function checkNamespace({ client, signal }: Context, name: string): Promise<void> {
  if (await client.find(namespaces, { name }, signal)) return;
  const hint = await similarOf(name, client, namespaces, undefined, signal);
  throw new NotFoundError(`there is no namespace ${name}${hint}`);
}

function rowOf(item: JsonObject): FindingRow {
  return {
    kind: textOf(item['kind']),
    namespace: textOf(item['namespace']),
    name: textOf(item['name']),
    level: textOf(item['level']) === 'error' ? 'error' : 'warning',
    reason: textOf(item['reason']),
    message: textOf(item['message']),
  };
}

function unreadRow({ kind, object: { metadata } }: UnreadObject): FindingRow {
  const message = 'nothing in this mesh reads objects of this kind';
  return {
    kind,
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    level: 'error',
    reason: 'NotRead',
    message,
  };
}

/** NetworkPolicies of namespaces of the mesh that keep out what arrives by it, whatever port the application has. */
async function closedPolicies(
  context: Context,
  namespace: string | undefined,
  unseen: string[],
): Promise<readonly FindingRow[]> {
  const all = await listed(context, namespaces, undefined, unseen);
  const enrolled = new Set(all.filter(isEnrolled).map(({ metadata }) => metadata.name));
  const policies = (await listed(context, networkPolicies, namespace, unseen)).map(policyViewOf);
  return closedToMesh(policies)
    .filter((policy) => enrolled.has(policy.namespace))
    .map(({ namespace: of, name }) => ({
      kind: 'NetworkPolicy',
      namespace: of,
      name,
      level: 'warning',
      reason: 'Advice',
      message:
        'no rule lets in TCP port 15008, where connections of the mesh arrive: where it is enforced, they fail',
    }));
}

const SIGNS = { error: '✗', warning: '·' } as const;

function render(rows: readonly FindingRow[], namespace: string | undefined): string {
  if (rows.length === 0)
    return `Nothing is wrong with any object${namespace === undefined ? '' : ` of namespace ${namespace}`}.\n`;
  const objects = Map.groupBy(
    rows,
    ({ kind, namespace: of, name }) => `${kind} ${of === '' ? '' : `${of}/`}${name}`,
  );
  const lines = [...objects].flatMap(([object, found]) => [
    printable(object),
    ...found.map(
      ({ level, reason, message }) =>
        `  ${SIGNS[level]} ${printable(reason === 'Advice' ? message : `${reason}: ${message}`, MAX_FINDING_CHARS)}`,
    ),
  ]);
  return `${[...lines, '', verdict([...objects.values()])].join('\n')}\n`;
}

function verdict(objects: readonly (readonly FindingRow[])[]): string {
  const wrong = objects.filter((found) => found.some(({ level }) => level === 'error')).length;
  const doubtful = objects.length - wrong;
  const count = (n: number, one: string, several: string) =>
    n === 0 ? [] : [n === 1 ? `1 ${one}` : `${n} ${several}`];
  return `${[
    ...count(wrong, 'object does not do what it says (✗)', 'objects do not do what they say (✗)'),
    ...count(doubtful, 'object may not do what was meant (·)', 'objects may not do what was meant (·)'),
  ].join('; ')}.`;
}
