import { deepEqual, equal, notEqual, ok } from "node:assert/strict";
import { EVERYBODY, groupsFor } from "../../../src/core/roster/groups.ts";
import { Roster } from "../../../src/core/roster/roster.ts";
import { LIST_ENTRY_BYTES } from "../../../src/http/limits.ts";
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

const SEQ = 5;

Deno.test("a whole list is made once for each change, and shared by all readers with the same groups", () => {
  const lists = new ListCache();
  const { view, state } = fakeView("a");
  const list = lists.whole(view, SEQ);
  equal(lists.whole(fakeView("a").view, 6), list);
  equal(state.reads, 1);
  notEqual(lists.whole(fakeView("a", 2).view, SEQ), list);
  notEqual(lists.whole(fakeView("b").view, SEQ).etag, list.etag);
});

Deno.test("[V1] a list is not taken for that of a group which the roster forgot and made anew", () => {
  const roster = new Roster(4);
  const lists = new ListCache();
  let seq = 0;
  const put = (userId: number, ...names: string[]) => {
    const status = names.length === 0 ? "offline" : "online";
    const user = { userId, username: `user${userId}` };
    roster.advance({ seq: ++seq, ...user, status, groups: names });
  };
  const online = () => {
    const view = roster.view(groupsFor(1, ["a", "b"]));
    const { body } = lists.whole(view, seq);
    return JSON.parse(String(body)).online_users.map(({ id }: { id: number }) =>
      id
    );
  };
  put(1, "a");
  put(2, "b");
  deepEqual(online(), [1, 2]);
  put(2);
  for (let n = 0; n < 4; n++) put(3, ...n % 2 === 0 ? ["c"] : []);
  equal(roster.groups.has("b"), false);
  deepEqual(online(), [1]);
  put(4, "b");
  deepEqual(online(), [1, 4]);
});

Deno.test("[L1] lists are kept up to a number of bytes, and one that alone is larger is kept too", () => {
  const [a, b, c] = ["a", "b", "c"].map((name) => fakeView(name));
  ok(a && b && c);
  const list = new ListCache().whole(a.view, SEQ);
  const bytes = list.bytes + a.view.groups.key.length + LIST_ENTRY_BYTES;
  const lists = new ListCache(2 * bytes);
  for (const { state } of [a, b, c]) state.reads = 0;
  const read = (...views: { view: ListedView }[]) => {
    for (const { view } of views) lists.whole(view, SEQ);
    return [a, b, c].map(({ state }) => state.reads);
  };
  deepEqual(read(a, b, a, b), [1, 1, 0]);
  deepEqual(read(c, b), [1, 1, 1]);
  deepEqual(read(a, c), [2, 1, 1]);
  lists.whole(fakeView("a", 2).view, SEQ);
  lists.whole(fakeView("a", 3).view, SEQ);
  deepEqual(read(c), [2, 1, 1]);
  const small = new ListCache(bytes - 1);
  c.state.reads = 0;
  equal(small.whole(c.view, SEQ), small.whole(c.view, SEQ));
  equal(c.state.reads, 1);
});

Deno.test("only without groups does the ETag have the seq", () => {
  const lists = new ListCache();
  ok(lists.whole(fakeView(undefined).view, SEQ).etag.startsWith('"5-'));
  const etags = [1, 2].map((seq) =>
    lists.whole(fakeView("a", seq).view, seq).etag
  );
  equal(etags[0], etags[1]);
});
