import { deepEqual, equal, notEqual, ok } from "node:assert/strict";
import { RING_TRANSITIONS_MAX } from "../../../src/base/limits.ts";
import { EVERYBODY, groupsFor } from "../../../src/core/roster/groups.ts";
import { ListCache, type ListedView } from "../../../src/http/list_cache.ts";

/** A view that counts how often its users are read. */
function fakeView(name: string | undefined, version = 1) {
  const state = { reads: 0 };
  const view: ListedView = {
    groups: name === undefined ? EVERYBODY : groupsFor(1, [name]),
    version,
    users: () => {
      state.reads += 1;
      return [{ id: 1, username: name ?? "everybody" }];
    },
  };
  return { view, state };
}

const AS_OF = { seq: 5, epoch: 0 };

Deno.test("a whole list is made once for each change, and shared by all readers with the same groups", () => {
  const lists = new ListCache();
  const { view, state } = fakeView("a");
  const list = lists.whole(view, AS_OF);
  equal(lists.whole(fakeView("a").view, { seq: 6, epoch: 0 }), list);
  equal(state.reads, 1);
  notEqual(lists.whole(fakeView("a", 2).view, AS_OF), list);
  notEqual(lists.whole(fakeView("b").view, AS_OF).etag, list.etag);
});

Deno.test("[V1] a list is not taken for that of a group which the roster forgot and made anew", () => {
  const lists = new ListCache();
  const { view, state } = fakeView("a");
  lists.whole(view, AS_OF);
  lists.whole(view, { seq: 5 + RING_TRANSITIONS_MAX, epoch: 0 });
  equal(state.reads, 2);
  lists.whole(view, { seq: 6 + RING_TRANSITIONS_MAX, epoch: 1 });
  equal(state.reads, 3);
});

Deno.test("[L1] lists are kept up to a number of bytes, and one that alone is larger is kept too", () => {
  const [a, b, c] = ["a", "b", "c"].map((name) => fakeView(name));
  ok(a && b && c);
  const { bytes } = new ListCache().whole(a.view, AS_OF);
  const lists = new ListCache(2 * bytes);
  for (const { state } of [a, b, c]) state.reads = 0;
  const read = (...views: { view: ListedView }[]) => {
    for (const { view } of views) lists.whole(view, AS_OF);
    return [a, b, c].map(({ state }) => state.reads);
  };
  deepEqual(read(a, b, a, b), [1, 1, 0]);
  deepEqual(read(c, b), [1, 1, 1]);
  deepEqual(read(a, c), [2, 1, 1]);
  lists.whole(fakeView("a", 2).view, AS_OF);
  lists.whole(fakeView("a", 3).view, AS_OF);
  deepEqual(read(c), [2, 1, 1]);
  const small = new ListCache(bytes - 1);
  c.state.reads = 0;
  equal(small.whole(c.view, AS_OF), small.whole(c.view, AS_OF));
  equal(c.state.reads, 1);
});

Deno.test("only without groups does the ETag have the seq", () => {
  const lists = new ListCache();
  ok(lists.whole(fakeView(undefined).view, AS_OF).etag.startsWith('"5-'));
  const etags = [1, 2].map((seq) =>
    lists.whole(fakeView("a", seq).view, { seq, epoch: 0 }).etag
  );
  equal(etags[0], etags[1]);
});
