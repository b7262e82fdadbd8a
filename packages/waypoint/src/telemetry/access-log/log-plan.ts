/** Which access logs are written for a service, in which format, and which lines are left out. Pure. */
import type { FileAccessLog, MeshSettings } from '../../resources/mesh-settings.ts';
import type { AccessLogRule, Telemetry } from '../../resources/telemetry.ts';
import { type AnyRecord, recordAttributes } from '../expression/attributes.ts';
import { compileExpression, type Evaluate } from '@ambit/model/expression/compile';
import { isForServers } from '../modes.ts';
import { withProviders } from '../providers.ts';
import { DEFAULT_JSON_FORMAT, DEFAULT_TEXT_FORMAT } from './format.ts';
import type { OperatorContext } from './operators.ts';
import { type CompiledFormat, compileJsonFormat, compileTextFormat } from './render.ts';

export type LogOutput = 'stdout' | 'stderr';

export interface LogPlan {
  readonly output: LogOutput;
  readonly line: (record: AnyRecord) => string;
  /** A line is written when it says `true`. `undefined`: always. */
  readonly filter: Evaluate<AnyRecord> | undefined;
}

/** Istio's provider for the log that the mesh's settings describe; it is there even where they do not list it. */
const BUILT_IN = 'envoy';
const OUTPUTS: Readonly<Record<string, LogOutput>> = {
  '': 'stdout',
  '/dev/stdout': 'stdout',
  '/proc/self/fd/1': 'stdout',
  '/dev/stderr': 'stderr',
  '/proc/self/fd/2': 'stderr',
};

/** @param telemetry - From the mesh's own to the nearest. */
export function logPlans(
  settings: MeshSettings,
  telemetry: readonly Telemetry[],
  context: OperatorContext,
  problems: string[],
): readonly LogPlan[] {
  const levels = telemetry.map(({ accessLogging }) => accessLogging).filter((rules) => rules.length > 0);
  const defaults = settings.defaultAccessLogProviders;
  if (levels.length === 0 && defaults.length === 0) {
    if (settings.accessLogFile === '') return [];
    const format = ofSettings(settings, context);
    return [planOf(settings.accessLogFile, format, undefined, problems)];
  }
  return [...wantedLogs(levels, defaults)].flatMap(([provider, rule]) => {
    const file = fileLogOf(settings, provider);
    if (!file) {
      problems.push(`access log provider ${provider} writes no file, or is not in the mesh's settings`);
      return [];
    }
    const format = isBuiltIn(provider, file) ? ofSettings(settings, context) : ofProvider(file, context);
    return [planOf(file.path, format, filterOf(rule, context, problems), problems)];
  });
}

/** Providers that are written to, each with the rule that says which lines. */
function wantedLogs(
  levels: readonly (readonly AccessLogRule[])[],
  defaults: readonly string[],
): ReadonlyMap<string, AccessLogRule | undefined> {
  const named = levels.map(
    (rules) => new Set(rules.filter(({ mode }) => isForServers(mode)).flatMap(({ providers }) => providers)),
  );
  const inUse = named.findLast((providers) => providers.size > 0) ?? new Set(defaults);
  if (levels.length === 0) return new Map(defaults.map((provider) => [provider, undefined]));
  const wanted = new Map<string, AccessLogRule | undefined>();
  for (const { rule, providers } of withProviders(levels.flat(), defaults)) {
    if (!isForServers(rule.mode)) continue;
    for (const provider of providers.filter((name) => inUse.has(name))) {
      if (rule.disabled) wanted.delete(provider);
      else wanted.set(provider, rule);
    }
  }
  return wanted;
}

function fileLogOf(settings: MeshSettings, provider: string): FileAccessLog | undefined {
  const known = settings.extensionProviders.get(provider);
  if (known?.kind === 'file-access-log') return known;
  if (known || provider !== BUILT_IN) return undefined;
  return { kind: 'file-access-log', path: '/dev/stdout', text: '', json: new Map() };
}

function isBuiltIn(provider: string, { text, json }: FileAccessLog): boolean {
  return provider === BUILT_IN && text === '' && json.size === 0;
}

function ofSettings(settings: MeshSettings, context: OperatorContext): CompiledFormat {
  const { accessLogEncoding, accessLogFormat } = settings;
  if (accessLogEncoding === 'TEXT') return compileTextFormat(accessLogFormat || DEFAULT_TEXT_FORMAT, context);
  if (accessLogFormat === '') return compileJsonFormat(DEFAULT_JSON_FORMAT, context);
  const fields = fieldsOf(accessLogFormat);
  if (fields) return compileJsonFormat(fields, context);
  const fallback = compileJsonFormat(DEFAULT_JSON_FORMAT, context);
  return { ...fallback, problems: ['accessLogFormat is not an object of texts in JSON: Istio’s is used'] };
}

function ofProvider({ text, json }: FileAccessLog, context: OperatorContext): CompiledFormat {
  if (json.size > 0) return compileJsonFormat(json, context);
  return compileTextFormat(text || DEFAULT_TEXT_FORMAT, context);
}

/** `undefined` for what is no object of texts. */
function fieldsOf(json: string): ReadonlyMap<string, string> | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return undefined;
  const entries = Object.entries(parsed as Record<string, unknown>);
  if (!entries.every((entry): entry is [string, string] => typeof entry[1] === 'string')) return undefined;
  return new Map(entries);
}

function planOf(
  path: string,
  format: CompiledFormat,
  filter: Evaluate<AnyRecord> | undefined,
  problems: string[],
): LogPlan {
  problems.push(...format.problems.map((problem) => `access log: ${problem}`));
  const output = Object.hasOwn(OUTPUTS, path) ? OUTPUTS[path] : undefined;
  if (!output)
    problems.push(`access log: ${path} is no output of a waypoint: lines go to its standard output`);
  return { output: output ?? 'stdout', line: format.line, filter };
}

/** One that cannot be read lets every line pass: a log that says too much is the lesser harm. */
function filterOf(
  rule: AccessLogRule | undefined,
  { local }: OperatorContext,
  problems: string[],
): Evaluate<AnyRecord> | undefined {
  if (!rule || rule.filter === '') return undefined;
  const compiled = compileExpression(rule.filter, recordAttributes(local));
  switch (compiled.kind) {
    case 'constant':
      return () => compiled.value;
    case 'expression':
      return compiled.evaluate;
    case 'problem':
      problems.push(`access log filter ${rule.filter}: ${compiled.problem}: every line is written`);
      return undefined;
  }
}
