/** Code that the documentation tells readers to copy does what it says. */
import { equal, ok } from "node:assert/strict";
import { createVerifier } from "../../src/access/token/verifier.ts";
import { codeBlocks, readDocument } from "../support/documents.ts";

const SECRET = "a secret of more than thirty-two bytes";

/** The function of a JavaScript example that makes tokens, as a backend runs it. */
async function rollcallTokenIn(
  path: string,
): Promise<(userId: number) => Promise<string>> {
  const code = codeBlocks(await readDocument(path), "js")
    .find((block) => block.includes("SignJWT"));
  ok(code !== undefined, `${path} has no example`);
  const file = await Deno.makeTempFile({ suffix: ".mjs" });
  try {
    const jose = import.meta.resolve("jose");
    await Deno.writeTextFile(file, code.replace('"jose"', `"${jose}"`));
    return (await import(`file://${file}`)).rollcallToken;
  } finally {
    await Deno.remove(file);
  }
}

for (const path of ["README.md", "docs/getting-started.md"]) {
  Deno.test(`[P1] ${path}: the token that a backend makes is accepted`, async () => {
    Deno.env.set("JWT_SECRET", SECRET);
    const verify = createVerifier({
      key: { kind: "secret", secret: SECRET },
      issuer: undefined,
      audiences: undefined,
      userClaim: "sub",
      usernameClaims: [],
    });
    const rollcallToken = await rollcallTokenIn(path);
    const verdict = await verify(await rollcallToken(7));
    ok(verdict.ok);
    equal(verdict.userId, 7);
    const minutes = (verdict.exp - Date.now() / 1_000) / 60;
    ok(minutes > 9 && minutes <= 10, `it expires in ${minutes} minutes`);
  });
}
