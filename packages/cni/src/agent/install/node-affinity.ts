/** Whether a pod template may run on a node, by its node selector and required node affinity. Pure. */
import { holds, type LabelSelectorRequirement, selectsLabels } from '@ambit/kube/label-selector';
import type { KubeObject } from '@ambit/kube/resource';
import { listOf, recordOf, textOf, textsOf } from '../../json.ts';

export function mayRunOn(podSpec: unknown, node: KubeObject): boolean {
  const spec = recordOf(podSpec);
  const labels = node.metadata.labels ?? {};
  const selector = recordOf(spec?.['nodeSelector']) ?? {};
  const wanted = Object.fromEntries(
    Object.entries(selector).map(([key, value]) => [key, textOf(value) ?? '']),
  );
  if (!selectsLabels(wanted, labels)) return false;
  const affinity = recordOf(recordOf(spec?.['affinity'])?.['nodeAffinity']);
  const required = recordOf(affinity?.['requiredDuringSchedulingIgnoredDuringExecution']);
  if (!required) return true;
  return listOf(required['nodeSelectorTerms']).some((term) => {
    const labelled = listOf(recordOf(term)?.['matchExpressions']).map(requirementOf);
    const fields = listOf(recordOf(term)?.['matchFields']).map(requirementOf);
    const name = { 'metadata.name': node.metadata.name };
    return (
      labelled.length + fields.length > 0 &&
      labelled.every((requirement) => accepts(requirement, labels)) &&
      fields.every((requirement) => accepts(requirement, name))
    );
  });
}

function requirementOf(value: unknown): LabelSelectorRequirement {
  const given = recordOf(value);
  return {
    key: textOf(given?.['key']) ?? '',
    operator: textOf(given?.['operator']) ?? '',
    values: textsOf(given?.['values']),
  };
}

function accepts(requirement: LabelSelectorRequirement, labels: Readonly<Record<string, string>>): boolean {
  const { key, operator, values = [] } = requirement;
  if (operator !== 'Gt' && operator !== 'Lt') return holds(requirement, labels);
  const [has, bound] = [Number(labels[key] ?? Number.NaN), Number(values[0] ?? Number.NaN)];
  return operator === 'Gt' ? has > bound : has < bound;
}
