/** Keeps every node's service rules as the Services and EndpointSlices are. */
import type { LabNode } from '../network/nodes.ts';
import { run } from '../network/command.ts';
import { type ControllerInputs, following } from './controllers.ts';
import { Reconciler } from './reconciler.ts';
import { renderServiceRules } from './render-service-rules.ts';

export function serviceProxy(inputs: ControllerInputs, nodes: readonly LabNode[]): AsyncDisposable {
  let applied = '';
  const reconciler = new Reconciler({
    name: 'service rules',
    clock: inputs.clock,
    log: inputs.log,
    reconcile: async () => {
      const rules = renderServiceRules(inputs.services.values(), inputs.endpointSlices.values());
      if (rules === applied) return;
      await Promise.all(
        nodes.map((node) => run(['ip', 'netns', 'exec', node.namespace, 'nft', '-f', '-'], rules)),
      );
      applied = rules;
    },
  });
  return following(reconciler, [inputs.services, inputs.endpointSlices]);
}
