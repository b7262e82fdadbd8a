/** Durations for people. Pure. */

/** `5s`, `3m4s`, `26h`, `12d`: short, as kubectl writes it. */
export function durationText(ms: number): string {
  if (Number.isNaN(ms)) return '<invalid>';
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  const [minutes, hours, days] = [
    Math.floor(seconds / 60),
    Math.floor(seconds / 3_600),
    Math.floor(seconds / 86_400),
  ];
  const both = (large: string, small: number, unit: string) =>
    small === 0 ? large : `${large}${small}${unit}`;
  if (seconds < 120) return `${seconds}s`;
  if (minutes < 10) return both(`${minutes}m`, seconds % 60, 's');
  if (hours < 3) return `${minutes}m`;
  if (hours < 8) return both(`${hours}h`, minutes % 60, 'm');
  if (hours < 48) return `${hours}h`;
  if (days < 8) return both(`${days}d`, hours % 24, 'h');
  if (days < 730) return `${days}d`;
  const years = Math.floor(days / 365);
  return years < 8 ? both(`${years}y`, days % 365, 'd') : `${years}y`;
}
