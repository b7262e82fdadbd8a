/** Points in time as log formats ask for them: strftime's letters, in UTC. Pure. */

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];
const DAY_MS = 86_400_000;

/** `2024-01-31T12:00:00.123Z`: what stands without a format. */
export function millisecondsIso(ms: number): string {
  return new Date(ms).toISOString();
}

const LETTERS: Readonly<Record<string, (date: Date) => string>> = {
  Y: (date) => String(date.getUTCFullYear()),
  y: (date) => padded(date.getUTCFullYear() % 100),
  m: (date) => padded(date.getUTCMonth() + 1),
  d: (date) => padded(date.getUTCDate()),
  e: (date) => String(date.getUTCDate()).padStart(2, ' '),
  j: (date) => padded(Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / DAY_MS) + 1, 3),
  H: (date) => padded(date.getUTCHours()),
  I: (date) => padded(date.getUTCHours() % 12 || 12),
  p: (date) => (date.getUTCHours() < 12 ? 'AM' : 'PM'),
  M: (date) => padded(date.getUTCMinutes()),
  S: (date) => padded(date.getUTCSeconds()),
  s: (date) => String(Math.floor(date.getTime() / 1_000)),
  a: (date) => (DAYS[date.getUTCDay()] ?? '').slice(0, 3),
  A: (date) => DAYS[date.getUTCDay()] ?? '',
  b: (date) => (MONTHS[date.getUTCMonth()] ?? '').slice(0, 3),
  B: (date) => MONTHS[date.getUTCMonth()] ?? '',
  F: (date) => date.toISOString().slice(0, 10),
  T: (date) => date.toISOString().slice(11, 19),
  z: () => '+0000',
  Z: () => 'UTC',
  '%': () => '%',
};

/**
 * @param format - strftime's, with Envoy's `%3f` for digits of a second and `%E3S` for seconds with digits. A letter that is
 * not known stays as it is.
 */
export function formatTime(ms: number, format: string): string {
  const date = new Date(ms);
  return format.replaceAll(/%(?:E?([1-9])([fS])|([A-Za-z%]))/g, (whole, digits, kind, letter) => {
    if (digits !== undefined) {
      const fraction = fractionOf(date, Number(digits));
      return kind === 'f' ? fraction : `${padded(date.getUTCSeconds())}.${fraction}`;
    }
    const write = Object.hasOwn(LETTERS, letter) ? LETTERS[letter as string] : undefined;
    return write ? write(date) : whole;
  });
}

function fractionOf(date: Date, digits: number): string {
  return padded(date.getUTCMilliseconds(), 3).padEnd(9, '0').slice(0, digits);
}

function padded(value: number, width = 2): string {
  return String(value).padStart(width, '0');
}
