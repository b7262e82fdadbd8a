/** Versions compared as numbers: `1.10.0` is newer than `1.9.3`, and a pre-release is older than its release. */

export interface Version {
  readonly numbers: readonly [major: number, minor: number, patch: number];
  /** `rc.1` of `1.0.0-rc.1`; empty for a release. */
  readonly preRelease: string;
}

/** `undefined`: no version, such as the tag `latest`. */
export function parseVersion(text: string): Version | undefined {
  const [whole, major, minor, patch = '0', preRelease = ''] =
    /^v?(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?(?:-([0-9A-Za-z._-]{1,64}))?(?:\+[0-9A-Za-z._+-]*)?$/.exec(
      text.trim(),
    ) ?? [];
  if (whole === undefined) return undefined;
  return { numbers: [Number(major), Number(minor), Number(patch)], preRelease };
}

/** Negative if `a` is older; 0 also where either is no version, as nothing is known then. */
export function compareVersions(a: string, b: string): number {
  const left = parseVersion(a);
  const right = parseVersion(b);
  if (!left || !right) return 0;
  for (const [i, number] of left.numbers.entries()) {
    const difference = number - (right.numbers[i] ?? 0);
    if (difference !== 0) return difference;
  }
  if (left.preRelease === right.preRelease) return 0;
  if (left.preRelease === '' || right.preRelease === '') return left.preRelease === '' ? 1 : -1;
  return left.preRelease < right.preRelease ? -1 : 1;
}

/** How many minor versions `a` is ahead of `b`; a major version counts as many. `undefined`: not comparable. */
export function minorsAhead(a: string, b: string): number | undefined {
  const left = parseVersion(a)?.numbers;
  const right = parseVersion(b)?.numbers;
  if (!left || !right) return undefined;
  return (left[0] - right[0]) * MINORS_PER_MAJOR + (left[1] - right[1]);
}

const MINORS_PER_MAJOR = 1_000;
