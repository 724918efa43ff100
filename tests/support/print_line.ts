/**
 * Prints a line. The lint rules allow no console.
 *
 * @module
 */

export function printLine(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}
