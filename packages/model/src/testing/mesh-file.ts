/** Meshes for tests, from the YAML beside them. */
import { readFileSync } from 'node:fs';
import { Interner } from '../intern.ts';
import { readLocalMesh } from '../local-file.ts';
import { MeshStore } from '../store.ts';
import type { Workload } from '../workload.ts';

/** @param yaml - Text of a local mesh file. */
export function meshOf(yaml: string, nodeName = ''): MeshStore {
  const mesh = new MeshStore({ nodeName });
  mesh.apply(readLocalMesh(yaml, 'test.yaml', new Interner()));
  return mesh;
}

export function meshFromFile(url: URL): MeshStore {
  return meshOf(readFileSync(url, 'utf8'));
}

export function workloadNamed(mesh: MeshStore, uid: string): Workload {
  const workload = mesh.workloadByUid(uid);
  if (!workload) throw new Error(`no workload ${uid} in the mesh`);
  return workload;
}
