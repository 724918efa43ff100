/**
 * The versions of Node on this machine: of the PATH, and of the variable NODE22.
 *
 * @module
 */

export interface Node {
  readonly command: string;
  readonly version: number;
}

export async function findNodes(): Promise<Node[]> {
  const found: Node[] = [];
  for (const command of ["node", Deno.env.get("NODE22") ?? ""]) {
    if (command === "") continue;
    try {
      const { stdout } = await new Deno.Command(command, {
        args: ["--version"],
      }).output();
      const version = /^v(\d+)\./.exec(new TextDecoder().decode(stdout))?.[1];
      found.push({ command, version: Number(version) });
    } catch {
      // There is no such command.
    }
  }
  return found;
}
