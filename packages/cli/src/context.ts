/** What every command works with: the cluster, its ztunnels, and where to print. */
import type { Clock } from '@ambit/core/clock';
import type { KubeClient } from '@ambit/kube/client';
import type { Options } from './command-line.ts';
import type { Choice } from './install/installation.ts';
import type { Shipped } from './install/shipped.ts';
import { table, type Column } from './table.ts';
import type { PodDialer } from './proxy-page.ts';
import type { Ztunnels } from './ztunnels.ts';

export interface Context {
  readonly client: KubeClient;
  readonly ztunnels: Ztunnels;
  readonly dial: PodDialer;
  readonly options: Options;
  /** Of `install` and `upgrade`, read before the cluster is asked: a file may be a pipe, which is read but once. */
  readonly choice: Choice | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** To standard output, as it is. */
  readonly print: (text: string) => void;
  /** One sentence to standard error, which does not end the command. */
  readonly warn: (sentence: string) => void;
  /** Asks the user a question that yes or no answers; `undefined`: there is nobody to ask. */
  readonly ask: (question: string) => Promise<boolean | undefined>;
  /** The version of this command, and what it installs. */
  readonly shipped: () => Promise<Shipped>;
}

/** Rows as a table or, with `--output json`, as a list of objects. */
export function printRows<Row extends object>(
  { options, print, warn }: Context,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  none: string,
): void {
  if (options.output === 'json') print(`${JSON.stringify(rows, undefined, 2)}\n`);
  else if (rows.length === 0) warn(none);
  else print(table(columns, rows));
}

/** For `.sort`: by these texts, in their order. */
export function byTexts<T>(of: (value: T) => readonly string[]): (a: T, b: T) => number {
  return (a, b) => {
    const right = of(b);
    const differing = of(a).findIndex((text, i) => text !== right[i]);
    const left = of(a)[differing] ?? '';
    return differing < 0 ? 0 : left < (right[differing] ?? '') ? -1 : 1;
  };
}
