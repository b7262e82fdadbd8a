/** Labels of an object that may not have the form it should. */
import type { Labels } from '@ambit/kube/label-selector';

/** `undefined` unless `value` is a map of texts. */
export function readableLabels(value: unknown): Labels | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return Object.values(value).every((label) => typeof label === 'string') ? (value as Labels) : undefined;
}
