/** Writes deploy/crds from the schemas. Run it after a change of them; a test compares. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { crdFileName, crdText } from './crd.ts';
import { customKinds } from './kinds.ts';

const directory = new URL('../../../../deploy/crds/', import.meta.url);
mkdirSync(directory, { recursive: true });
for (const kind of customKinds) writeFileSync(new URL(crdFileName(kind), directory), crdText(kind));
