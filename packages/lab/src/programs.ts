/** What stands for images in the lab: for the name of an image, without its tag, the program that its entry point is. */

export type Programs = Readonly<Record<string, readonly string[]>>;

const TOP = new URL('../../..', import.meta.url).pathname.replace(/\/$/, '');

/** Those whose pods istiod makes, so that nobody can write their commands out. */
export const MESH_PROGRAMS: Programs = {
  'ambit/waypoint': [process.execPath, `${TOP}/packages/waypoint/src/main.ts`],
};

/** @param image - A reference: `hub/name:tag`, `hub:5000/name@digest`. */
export function programOf(programs: Programs, image: string): readonly string[] | undefined {
  const name = image.replace(/@.*$/, '').replace(/:[^/:]*$/, '');
  return Object.hasOwn(programs, name) ? programs[name] : undefined;
}
