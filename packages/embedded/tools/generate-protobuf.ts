/**
 * Writes src/gen/kubernetes-protobuf.ts: field numbers of the messages that typed Kubernetes clients send, from the
 * .proto and Go files of the Go modules k8s.io/api, k8s.io/apimachinery and k8s.io/apiextensions-apiserver.
 *
 *     node packages/embedded/tools/generate-protobuf.ts FOLDER-OF-EACH-MODULE...
 *
 * Only names, numbers and types are kept. A `?` after a type says that Go has a pointer there: zero is a value then,
 * and not the lack of one.
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { KUBERNETES_TYPES } from '../src/gen/kubernetes-types.ts';

const messages = new Map<string, string[]>();

function pointersOf(folder: string): ReadonlySet<string> {
  const found = new Set<string>();
  for (const file of globSync('*.go', { cwd: folder })) {
    let type = '';
    for (const line of readFileSync(join(folder, file), 'utf8').split('\n')) {
      type = /^type (\w+) struct \{/.exec(line)?.[1] ?? type;
      const field = /^\s+\w+\s+\*[\w.]+\s+`.*json:"(\w+)/.exec(line)?.[1];
      if (field !== undefined) found.add(`${type}.${field}`);
    }
  }
  return found;
}

const nameOf = (type: string, home: string): string => {
  const full = type.includes('.') ? type.replace(/^\./, '') : `${home}.${type}`;
  return full.replace(/^k8s\.io\./, 'io.k8s.');
};

const SCALARS = ['string', 'bytes', 'bool', 'int32', 'int64', 'double'];

for (const root of process.argv.slice(2)) {
  for (const file of globSync('**/generated.proto', { cwd: root })) {
    const text = readFileSync(join(root, file), 'utf8').replace(/\/\/.*$/gm, '');
    const home = /^package ([\w.]+);/m.exec(text)?.[1] ?? '';
    const pointers = pointersOf(join(root, dirname(file)));
    for (const [, message = '', body = ''] of text.matchAll(/^message (\w+) \{([^}]*)\}/gm)) {
      const fields: string[] = [];
      const pattern = /(optional|repeated|map<string, ([\w.]+)>)\s*([\w.]*)\s+(\w+) = (\d+)/g;
      for (const [, label = '', value = '', plain = '', name = '', number = ''] of body.matchAll(pattern)) {
        const type = label.startsWith('map') ? value : plain;
        const prefix = label.startsWith('map') ? '%' : label === 'repeated' ? '*' : '';
        const scalar = SCALARS.includes(type);
        const pointer = scalar && prefix === '' && pointers.has(`${message}.${name}`) ? '?' : '';
        fields.push(`${number} ${name} ${prefix}${scalar ? type : nameOf(type, home)}${pointer}`);
      }
      messages.set(`${home.replace(/^k8s\.io\./, 'io.k8s.')}.${message}`, fields);
    }
  }
}

const wanted = new Set(Object.keys(KUBERNETES_TYPES).filter((name) => messages.has(name)));
for (const name of wanted) {
  for (const field of messages.get(name) ?? []) {
    const type = (field.split(' ')[2] ?? '').replace(/^[*%]|\?$/g, '');
    if (messages.has(type)) wanted.add(type);
  }
}
const lines = [...wanted]
  .sort()
  .map((name) => `  ${JSON.stringify(name)}: ${JSON.stringify((messages.get(name) ?? []).join(';'))},`);
writeFileSync(
  new URL('../src/gen/kubernetes-protobuf.ts', import.meta.url),
  `/** Field numbers of Kubernetes' protobuf messages. Written by tools/generate-protobuf.ts; do not edit. */

export const PROTOBUF_MESSAGES: Readonly<Record<string, string>> = {
${lines.join('\n')}
};
`,
);
process.stdout.write(`${lines.length} messages\n`);
