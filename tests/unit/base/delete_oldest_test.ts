import { deepEqual } from "node:assert/strict";
import { deleteOldest } from "../../../src/base/delete_oldest.ts";

Deno.test("the newest entries stay, in a map and in a set", () => {
  const map = new Map([["a", 1], ["b", 2], ["c", 3]]);
  map.delete("a");
  map.set("a", 4);
  deleteOldest(map, 2);
  deepEqual([...map], [["c", 3], ["a", 4]]);
  const set = new Set([1, 2, 3]);
  deleteOldest(set, 3);
  deepEqual([...set], [1, 2, 3]);
  deleteOldest(set, 0);
  deepEqual([...set], []);
});
