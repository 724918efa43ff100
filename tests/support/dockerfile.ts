/**
 * Reads a Dockerfile, as far as those of this project go.
 *
 * @module
 */
import { equal, ok } from "node:assert/strict";

/** One instruction. Its arguments are words, or those of the JSON form. */
export interface Instruction {
  readonly name: string;
  readonly text: string;
  readonly args: readonly string[];
}

export interface Stage {
  readonly from: string;
  readonly name: string | undefined;
  readonly instructions: readonly Instruction[];
}

/** The stages of a Dockerfile, in order. */
export function readDockerfile(text: string): Stage[] {
  const stages: { -readonly [Key in keyof Stage]: Stage[Key] }[] = [];
  const lines = text.replaceAll(/^#.*\n/gm, "").replaceAll(/\\\n\s*/g, " ")
    .split("\n").filter((line) => line.trim() !== "");
  for (const line of lines) {
    const [, name = "", rest = ""] = /^([A-Z]+) (.*)$/.exec(line) ?? [];
    const instruction = { name, text: rest, args: argumentsOf(rest) };
    if (name === "FROM") {
      const [from = "", as, stage] = instruction.args;
      ok(as === undefined || as === "AS", line);
      stages.push({ from, name: stage, instructions: [] });
      continue;
    }
    const stage = stages.at(-1);
    ok(stage !== undefined && name !== "", `not an instruction: ${line}`);
    stage.instructions = [...stage.instructions, instruction];
  }
  return stages;
}

function argumentsOf(text: string): string[] {
  const json = text.indexOf("[");
  return json >= 0 && text.endsWith("]")
    ? JSON.parse(text.slice(json))
    : text.split(/\s+/);
}

/** The instructions of a name, in order. */
export function instructionsOf(stage: Stage, name: string): Instruction[] {
  return stage.instructions.filter((one) => one.name === name);
}

/** The only instruction of a name. */
export function instructionOf(stage: Stage, name: string): Instruction {
  const [first, ...others] = instructionsOf(stage, name);
  ok(first !== undefined, `there is no ${name}`);
  equal(others.length, 0, `there are several ${name}`);
  return first;
}
