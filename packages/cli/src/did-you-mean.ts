/** What somebody probably meant who wrote a word that is none of those known. Pure. */

/** A letter that is wrong, missing, too many, or in its neighbour's place counts one. */
const MAX_MISTAKES = 2;
/** Of the letters: `ls` is nearly everything, and of three letters one tells words apart, unless two have only changed places. */
const MAX_SHARE = 0.3;

/** The known word that differs least; `undefined` if none is near. What begins with the given word is near. */
export function closest(given: string, known: readonly string[]): string | undefined {
  const begun = known.filter((word) => given.length > 1 && word.startsWith(given));
  if (begun.length === 1) return begun[0];
  const max = Math.min(MAX_MISTAKES, given.length * MAX_SHARE);
  // Comparing costs the product of the lengths; a longer or shorter word has that many mistakes already.
  const [nearest] = known
    .filter((word) => Math.abs(word.length - given.length) <= max)
    .map((word) => ({ word, mistakes: mistakesBetween(given, word) }))
    .filter(
      ({ word, mistakes }) => mistakes <= max || (mistakes === 1 && lettersOf(word) === lettersOf(given)),
    )
    .toSorted((a, b) => a.mistakes - b.mistakes);
  return nearest?.word;
}

function lettersOf(word: string): string {
  return word.split('').toSorted().join('');
}

/** `; did you mean X?`, or nothing: to be put behind what is wrong. */
export function didYouMean(given: string, known: readonly string[]): string {
  const word = closest(given, known);
  return word === undefined ? '' : `; did you mean ${word}?`;
}

/** The distance of Damerau and Levenshtein, with neighbours exchanged once. */
function mistakesBetween(a: string, b: string): number {
  let before: readonly number[] = [];
  let last: readonly number[] = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const isSame = a[i - 1] === b[j - 1];
      const isExchanged = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row.push(
        Math.min(
          (last[j] ?? 0) + 1,
          (row[j - 1] ?? 0) + 1,
          (last[j - 1] ?? 0) + (isSame ? 0 : 1),
          isExchanged ? (before[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
        ),
      );
    }
    before = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
