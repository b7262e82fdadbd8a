/** What is wrong with a Telemetry; pure. */
import type { Telemetry } from '@ambit/kube/resources/telemetry';
import { schemaProblems } from '../schema/openapi.ts';
import { telemetrySpec } from '../schema/telemetry.ts';
import { Collector, type Findings } from './problems.ts';
import { validateAttachment } from './selector.ts';

export function validateTelemetry({ spec = {} }: Telemetry): Findings {
  const found = new Collector();
  found.errors.push(...schemaProblems(telemetrySpec, spec, 'spec'));
  if (found.errors.length > 0) return found;
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
      for (const [name, { operation = 'UPSERT', value = '' }] of Object.entries(tagOverrides)) {
        if (operation === 'UPSERT' && value === '')
          found.error(`${path}.tagOverrides.${name}.value`, 'is required to upsert');
        if (operation === 'REMOVE' && value !== '')
          found.error(`${path}.tagOverrides.${name}.value`, 'must be empty to remove');
      }
    }
  return found;
}
