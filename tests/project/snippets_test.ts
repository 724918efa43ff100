/** Code that the documentation tells readers to copy does what it says. */
import { equal, ok } from "node:assert/strict";
import { createVerifier } from "../../src/access/token/verifier.ts";
import { codeBlocks, readDocument } from "../support/documents.ts";

const SECRET = "a secret of more than thirty-two bytes";

/** Runs the JavaScript example that makes tokens, as a backend does. Returns a token of this user. */
async function tokenBy(path: string, userId: number): Promise<string> {
  const code = codeBlocks(await readDocument(path), "js")
    .find((block) => block.includes("SignJWT"));
  ok(code !== undefined, `${path} has no example`);
  const file = await Deno.makeTempFile({ suffix: ".mjs" });
  try {
    const jose = import.meta.resolve("jose");
    const lines = [
      code.replace('"jose"', `"${jose}"`),
      `process.stdout.write(await rollcallToken(${userId}));`,
    ];
    await Deno.writeTextFile(file, lines.join("\n"));
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", file],
      env: { JWT_SECRET: SECRET },
    }).output();
    return new TextDecoder().decode(stdout);
  } finally {
    await Deno.remove(file);
  }
}

for (const path of ["README.md", "docs/getting-started.md"]) {
  Deno.test(`[P1] ${path}: the token that a backend makes is accepted`, async () => {
    const verify = createVerifier({
      key: { kind: "secret", secret: SECRET },
      issuer: undefined,
      audiences: undefined,
      userClaim: "sub",
      usernameClaims: [],
      ...{ groupsClaim: undefined, groupsPerUserMax: 100 },
    });
    const verdict = await verify(await tokenBy(path, 7));
    ok(verdict.ok);
    equal(verdict.userId, 7);
    const minutes = (verdict.exp - Date.now() / 1_000) / 60;
    ok(minutes > 9 && minutes <= 10, `it expires in ${minutes} minutes`);
  });
}
