const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** Bytes for people, in powers of 1,000: `999 B`, `1.0 kB`, `2.3 MB`. */
export function readableSize(bytes: number): string {
  let amount = bytes;
  let unit = 0;
  // 999.95 would be rounded to 1000.0.
  while (amount >= (unit === 0 ? 1000 : 999.95) && unit < UNITS.length - 1) {
    amount /= 1000;
    unit++;
  }
  return `${unit === 0 ? amount : amount.toFixed(1)} ${UNITS[unit]}`;
}
