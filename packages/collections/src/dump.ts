/** The graph of collections as text and as a mermaid diagram, for the debug endpoint and for documents. */
import type { GraphNode } from './collection.ts';

/** Every collection that `roots` are computed from, inputs before what is made of them. */
export function graphNodes(roots: readonly GraphNode[]): readonly GraphNode[] {
  const seen = new Set<GraphNode>();
  const visit = (node: GraphNode): void => {
    if (seen.has(node)) return;
    for (const input of node.inputs) visit(input);
    seen.add(node);
  };
  for (const root of roots) visit(root);
  return [...seen];
}

/** One line each: name, size, whether it is synced, what it is made of. */
export function dumpText(roots: readonly GraphNode[]): string {
  const line = ({ name, size, synced, inputs }: GraphNode) => {
    const from = inputs.length === 0 ? '' : ` from ${inputs.map((input) => input.name).join(', ')}`;
    return `${name}: ${size}${synced.value ? '' : ' (not synced)'}${from}\n`;
  };
  return graphNodes(roots).map(line).join('');
}

export function dumpMermaid(roots: readonly GraphNode[]): string {
  const nodes = graphNodes(roots);
  const ids = new Map(nodes.map((node, i) => [node, `n${i}`]));
  const boxes = nodes.map((node) => `  ${ids.get(node)}["${node.name.replaceAll('"', "'")}"]`);
  const arrows = nodes.flatMap((node) =>
    node.inputs.map((input) => `  ${ids.get(input)} --> ${ids.get(node)}`),
  );
  return `${['flowchart LR', ...boxes, ...arrows].join('\n')}\n`;
}
