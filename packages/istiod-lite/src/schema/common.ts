/** What the schemas of several kinds share. */
import { list, map, object, type StructuralSchema, text, type ValidationRule, withRules } from './openapi.ts';

/** As many labels as Istio allows. */
const MAX_LABELS = 4_096;

const matchLabels = withRules(
  {
    ...map(text(undefined, { maxLength: 63 }), 'Labels that a workload must have, all of them.'),
    maxProperties: MAX_LABELS,
  },
  {
    rule: "self.all(key, key != '' && !key.contains('*') && !self[key].contains('*'))",
    message: 'matchLabels: keys must not be empty, and wildcards are not supported',
  },
);

export const selector = object(
  { matchLabels },
  {
    description: 'Which workloads this is for. Without it: every workload of the namespace, or of the mesh.',
  },
);

const targetReference = withRules(
  object(
    {
      group: text('API group of the target; empty for Services.', { maxLength: 253 }),
      kind: text('Service, ServiceEntry, Gateway or GatewayClass.', { minLength: 1, maxLength: 63 }),
      name: text('Name of the target.', { minLength: 1, maxLength: 253 }),
      namespace: text('Must be empty: a target is in the namespace of the policy.', { maxLength: 63 }),
    },
    { description: 'A waypoint, or what stands behind one.', required: ['kind', 'name'] },
  ),
  {
    rule: "self.kind in ['Service', 'ServiceEntry', 'Gateway', 'GatewayClass']",
    message: 'kind: must be one of Service, ServiceEntry, Gateway, GatewayClass',
    fieldPath: '.kind',
  },
  {
    rule: "self.kind != 'Service' || !has(self.group) || self.group in ['', 'core']",
    message: 'group: must be empty for a Service',
    fieldPath: '.group',
  },
  {
    rule: "self.kind != 'ServiceEntry' || (has(self.group) && self.group == 'networking.istio.io')",
    message: 'group: must be "networking.istio.io" for a ServiceEntry',
  },
  {
    rule: "!(self.kind in ['Gateway', 'GatewayClass']) || (has(self.group) && self.group == 'gateway.networking.k8s.io')",
    message: 'group: must be "gateway.networking.k8s.io" for a Gateway or GatewayClass',
  },
  {
    rule: "!has(self.__namespace__) || self.__namespace__ == ''",
    message: 'namespace: must be empty: a target is in the namespace of the policy',
    fieldPath: '.namespace',
  },
);

export const targetRef = targetReference;
export const targetRefs: StructuralSchema = {
  ...list(targetReference, 'Waypoints, or what stands behind them.'),
  maxItems: 16,
};

/** Of a specification that is attached to a part of the mesh. */
export const oneAttachment: ValidationRule = {
  rule: '(has(self.selector) ? 1 : 0) + (has(self.targetRef) ? 1 : 0) + (has(self.targetRefs) && self.targetRefs.size() > 0 ? 1 : 0) <= 1',
  message: 'only one of selector, targetRef and targetRefs may be set',
};

export const strings = (description: string, items: StructuralSchema = text()): StructuralSchema =>
  list(items, description);

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
