/** The variables that say what a proxy logs, and how. */
import type { LogFilter } from '../log.ts';
import { logFilterOfVariable } from './log-filter.ts';
import { type Infer, text } from './schema.ts';

export const logVariables = {
  logFilter: text({ env: 'RUST_LOG', default: 'info', doc: 'What is logged: info,access=debug.' }),
  logFormat: text({ env: 'LOG_FORMAT', default: undefined, doc: 'json, or else text.' }),
};

export interface LogConfig {
  readonly filter: LogFilter;
  readonly format: 'plain' | 'json';
}

export function logConfig(values: Infer<typeof logVariables>, problems: string[]): LogConfig {
  const filter = logFilterOfVariable(values.logFilter);
  if (!filter)
    problems.push(`invalid env var RUST_LOG=${values.logFilter}: want levels such as info,access=debug`);
  return {
    filter: filter ?? { base: 'info', scopes: new Map() },
    format: values.logFormat === 'json' ? 'json' : 'plain',
  };
}
