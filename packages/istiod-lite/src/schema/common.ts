/** What the schemas of several kinds share. */
import { list, map, object, type StructuralSchema, text } from './openapi.ts';

export const selector = object(
  { matchLabels: map(text(undefined, { maxLength: 63 }), 'Labels that a workload must have, all of them.') },
  {
    description: 'Which workloads this is for. Without it: every workload of the namespace, or of the mesh.',
  },
);

const targetReference = object(
  {
    group: text('API group of the target; empty for Services.', { maxLength: 253 }),
    kind: text('Service, ServiceEntry, Gateway or GatewayClass.', { minLength: 1, maxLength: 63 }),
    name: text('Name of the target.', { minLength: 1, maxLength: 253 }),
    namespace: text('Must be empty: a target is in the namespace of the policy.'),
  },
  { description: 'A waypoint, or what stands behind one.', required: ['kind', 'name'] },
);

export const targetRef = targetReference;
export const targetRefs: StructuralSchema = {
  ...list(targetReference, 'Waypoints, or what stands behind them.'),
  maxItems: 16,
};

export const strings = (description: string): StructuralSchema => list(text(), description);

/** Conditions of a status, owned by type so that several writers can each keep their own. */
export const statusWithConditions: StructuralSchema = {
  ...object({
    observedGeneration: { type: 'integer', format: 'int64' },
    conditions: {
      ...list(
        object(
          {
            type: text(),
            status: text(),
            reason: text(),
            message: text(),
            observedGeneration: { type: 'integer', format: 'int64' },
            lastTransitionTime: { type: 'string', format: 'date-time' },
            lastProbeTime: { type: 'string', format: 'date-time' },
          },
          { required: ['type', 'status'] },
        ),
      ),
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
    },
  }),
  'x-kubernetes-preserve-unknown-fields': true,
};
