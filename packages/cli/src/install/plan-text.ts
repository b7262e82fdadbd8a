/** A plan as a person reads it: what is to happen, to which objects, with what in mind. */
import { table } from '../table.ts';
import type { ComponentName } from './components.ts';
import { coOwnersText } from './decide/conflict-text.ts';
import { countsOf, type PlannedChange } from './decide/plan.ts';
import type { Target } from './installation.ts';
import { titleOf } from './manifest.ts';

export interface ShownPlan {
  readonly operation: 'install' | 'upgrade';
  readonly target: Target;
  readonly changes: readonly PlannedChange[];
  readonly notes: readonly string[];
  /** The versions that run now. */
  readonly from: ReadonlyMap<ComponentName, string>;
}

export function planText({ operation, target, changes, notes, from }: ShownPlan): string {
  const verb = operation === 'install' ? 'Install' : 'Upgrade';
  const shown = changes.filter(({ action }) => action !== 'unchanged');
  const sections = [
    `${verb} Ambit ${target.version} in namespace istio-system: ${countsOf(changes)}.\n`,
    versionsText(target, from),
    valuesText(target),
    shown.length === 0
      ? ''
      : table(
          [
            { title: 'PLAN', of: (change: PlannedChange) => change.action },
            { title: 'OBJECT', of: ({ part }: PlannedChange) => titleOf(part) },
            { title: 'COMPONENT', of: ({ part }: PlannedChange) => part.component },
            { title: 'DETAIL', of: detailOf },
          ],
          shown,
        ),
    ...notes.map((note) => `Note: ${note}.\n`),
  ];
  return `${sections.filter((section) => section !== '').join('\n')}\n`;
}

function versionsText({ version, selected }: Target, from: ReadonlyMap<ComponentName, string>): string {
  const rows = [...from].filter(([component, before]) => selected.includes(component) && before !== version);
  return rows.map(([component, before]) => `${component}: ${before} → ${version}\n`).join('');
}

function valuesText({ values, kept }: Target): string {
  return Object.entries(values)
    .map(([key, value]) => {
      const from = Object.hasOwn(kept, key) ? ' (chosen before; --reset-values forgets it)' : '';
      return `${key} = ${typeof value === 'string' ? value : JSON.stringify(value)}${from}\n`;
    })
    .join('');
}

function detailOf(change: PlannedChange): string {
  if (change.action === 'take-over') return coOwnersText(change.owners);
  if (change.action === 'change') {
    const { fields, owners = [] } = change;
    return [fields.join(', '), ...(owners.length === 0 ? [] : [coOwnersText(owners)])].join('; ');
  }
  if (change.action === 'keep') return change.reason;
  return change.action === 'remove' ? 'no longer part of the installation' : '';
}
