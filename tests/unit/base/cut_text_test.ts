import { equal } from "node:assert/strict";
import { cutText } from "../../../src/base/cut_text.ts";

Deno.test("a text is cut at whole characters, and a short one stays as it is", () => {
  const grin = "\u{1f600}";
  equal(cutText("abc", 3), "abc");
  equal(cutText("abcd", 3), "abc");
  equal(cutText(`ab${grin}`, 3), `ab${grin}`);
  equal(cutText(`ab${grin}${grin}`, 3), `ab${grin}`);
  equal(cutText(grin.repeat(10), 3), grin.repeat(3));
  equal(cutText(`a${grin.repeat(10)}`, 2), `a${grin}`);
});
