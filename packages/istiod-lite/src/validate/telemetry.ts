/** What is wrong with a Telemetry; pure. */
import type { Telemetry } from '@ambit/kube/resources/telemetry';
import { expressionProblem } from '@ambit/model/expression/names';
import { schemaProblems } from '../schema/openapi.ts';
import { METRICS, telemetrySpec } from '../schema/telemetry.ts';
import { Collector, type Findings, warnOfNoEffect } from './problems.ts';
import { validateAttachment } from './selector.ts';

/** A custom metric may be one of these by its name as well. */
const STANDARD: ReadonlySet<string> = new Set(METRICS);
/** As waypoints take it. */
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]{0,127}$/;

export function validateTelemetry({ spec = {} }: Telemetry): Findings {
  const found = new Collector();
  found.errors.push(...schemaProblems(telemetrySpec, spec, 'spec'));
  if (found.errors.length > 0) return found;
  warnOfNoEffect(telemetrySpec, spec, found);
  validateAttachment(spec, found);
  if (spec.selector !== undefined)
    found.warn('spec.selector', 'no waypoint heeds a Telemetry for certain pods; use targetRefs');
  for (const [i, { customTags = {} }] of (spec.tracing ?? []).entries())
    for (const [name, tag] of Object.entries(customTags)) {
      const path = `spec.tracing[${i}].customTags.${name}`;
      if (Object.keys(tag).length === 0) found.error(path, 'must have literal, environment or header');
      if (tag.formatter !== undefined) found.warn(`${path}.formatter`, 'is not supported');
    }
  for (const [i, { overrides = [] }] of (spec.metrics ?? []).entries())
    for (const [j, { match = {}, tagOverrides = {} }] of overrides.entries()) {
      const path = `spec.metrics[${i}].overrides[${j}]`;
      if (match.metric !== undefined && match.customMetric !== undefined)
        found.error(`${path}.match`, 'only one of metric and customMetric may be set');
      const metric = match.customMetric;
      if (metric !== undefined && !STANDARD.has(metric))
        found.warn(
          `${path}.match.customMetric`,
          `no waypoint makes a metric ${metric}; nothing is done about it`,
        );
      for (const [name, { operation = 'UPSERT', value = '' }] of Object.entries(tagOverrides)) {
        if (operation === 'UPSERT' && value === '')
          found.error(`${path}.tagOverrides.${name}.value`, 'is required to upsert');
        if (operation === 'REMOVE' && value !== '')
          found.error(`${path}.tagOverrides.${name}.value`, 'must be empty to remove');
        if (operation === 'UPSERT') warnOfTag(found, `${path}.tagOverrides.${name}`, name, value);
      }
    }
  for (const [i, { filter }] of (spec.accessLogging ?? []).entries()) {
    const problem = filter?.expression === undefined ? undefined : expressionProblem(filter.expression);
    if (problem !== undefined)
      found.warn(
        `spec.accessLogging[${i}].filter.expression`,
        `cannot be evaluated, so every line passes: ${problem}`,
      );
  }
  return found;
}

/** The label stays as it is, or is left out if it is none of Istio's. */
function warnOfTag(found: Collector, path: string, name: string, value: string): void {
  const problem = LABEL_NAME.test(name) ? expressionProblem(value) : 'is no name of a label';
  if (problem !== undefined) found.warn(path, `cannot be evaluated, so it changes nothing: ${problem}`);
}
