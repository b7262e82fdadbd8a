/**
 * Has a bundle take from Node's own modules what it uses of them, and no more.
 *
 * Where an ES module imports one, Node reads all that it exports, and some of that is only made when it is read: of
 * `node:http` it is undici, which takes some 40 ms of a start, and 10 MB.
 */
import type { Plugin } from 'esbuild';

export const builtinModules: Plugin = {
  name: 'builtin modules',
  setup: ({ onResolve, onLoad }) => {
    onResolve({ filter: /^node:/ }, ({ path, kind }) =>
      // One that this Node does not have is left to the Node that runs the bundle, which says so.
      kind === 'import-statement' && process.getBuiltinModule(path)
        ? { path, namespace: 'builtin', sideEffects: false }
        : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({ contents: moduleOf(path) }));
  },
};

/** A module with the same exports; those that nobody imports are not even read. */
function moduleOf(name: string): string {
  const exported = Object.keys(process.getBuiltinModule(name) ?? {});
  return [
    `const builtin = process.getBuiltinModule(${JSON.stringify(name)});`,
    'export default builtin;',
    ...exported.flatMap((property, i) => [
      `const _${i} = /* @__PURE__ */ (() => builtin[${JSON.stringify(property)}])();`,
      `export { _${i} as ${JSON.stringify(property)} };`,
    ]),
  ].join('\n');
}
