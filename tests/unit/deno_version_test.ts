import { doesNotThrow, throws } from "node:assert/strict";
import { requireDeno } from "../../src/deno_version.ts";

for (const version of ["2.8.2", "2.9.0", "2.10.1", "3.0.0", "2.9.6+ab12cd3"]) {
  Deno.test(`Deno ${version} can run the server`, () => {
    doesNotThrow(() => requireDeno(version));
  });
}

for (const version of ["2.8.1", "2.7.9", "1.46.3"]) {
  Deno.test(`Deno ${version} is refused, and the error says which one is expected`, () => {
    throws(() => requireDeno(version), {
      name: "StartError",
      message: /^Cannot run with Deno \d+\.\d+\.\d+: expected 2\.8\.2 or newer/,
    });
  });
}
