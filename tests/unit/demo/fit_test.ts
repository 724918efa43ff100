/** How many faces the demo page shows in the room that they have. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { fit } from "../../../src/demo/page/fit.js";

/** In rem: as in windows 1280 and 390 pixels wide. */
const DESKTOP = { width: 69.9, height: 11.5 };
const PHONE = { width: 20.3, height: 15 };

Deno.test("few users have large faces, and every face has a name", () => {
  deepEqual(fit(1, 1, DESKTOP), { size: "large", named: 1, shown: 1 });
  equal(fit(12, 6, DESKTOP).size, "medium");
  equal(fit(12, 6, DESKTOP).named, 12);
});

Deno.test("in a crowd the first people have names, and as many faces are shown as fit", () => {
  deepEqual(fit(206, 6, DESKTOP), { size: "small", named: 6, shown: 71 });
  deepEqual(fit(206, 6, PHONE), { size: "small", named: 6, shown: 9 });
});

Deno.test("faces never need more room than there is", () => {
  for (const room of [DESKTOP, PHONE, { width: 15, height: 15 }]) {
    const columns = Math.floor((room.width + 0.5) / 3);
    const rows = Math.floor((room.height + 0.5) / 3);
    for (let count = 0; count < 300; count++) {
      for (const people of [0, 1, 6, count].filter((few) => few <= count)) {
        const { size, named, shown } = fit(count, people, room);
        ok(named <= shown && shown <= count);
        if (size !== "small") continue;
        const cells = named * 4 + (shown - named) + (shown < count ? 3 : 0);
        ok(cells <= columns * rows, `${count} users, ${people} people`);
      }
    }
  }
});

Deno.test("a room of no size, as in a hidden page, shows no more users than there are", () => {
  const { shown } = fit(5, 5, { width: 0, height: 0 });
  ok(shown <= 5);
});
