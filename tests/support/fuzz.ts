/**
 * Messages of a client, damaged in one place or in many.
 *
 * @module
 */

const MESSAGES = [
  '{"type":"watch","userIds":[1,2,3]}',
  '{"type":"watch","userIds":"*"}',
  '{"type":"refresh","token":"a.b.c"}',
  '{"type":"ping"}',
  '{"type":"dance"}',
  "[[[[[[[[[[[[[[[[",
  '{"__proto__":{"type":"watch"},"constructor":1}',
  '{"type":"watch","userIds":[1e309,-0,0.1,null,"1",{}]}',
];
const INSERTS = [...'{}[]",:0x\\u', "\u0000", "\ud83d", "1e999", "[[[["];

export function damagedMessage(random: () => number): string {
  const pick = <T>(items: readonly T[]) =>
    items[Math.floor(random() * items.length)] as T;
  const text = [...pick(MESSAGES)];
  for (let edits = Math.floor(random() * 5); edits > 0; edits--) {
    const at = Math.floor(random() * text.length);
    const dice = random();
    if (dice < 0.3) text.splice(at, 1);
    else if (dice < 0.6) text.splice(at, 0, pick(INSERTS));
    else if (dice < 0.8) {
      text.splice(at, 1, String.fromCharCode(Math.floor(random() * 512)));
    } else text.splice(0, 0, ...text.slice(0, at));
  }
  return text.join("");
}
