/**
 * How the faces fit into their room: how large they are, and how many of them are shown.
 *
 * Few users have large faces with names. When these do not fit, all faces get smaller. In a crowd
 * only the first people keep their names, and a last cell says how many more users there are.
 *
 * @module
 */

/** The cells of each size in rem, largest first. The style sheet has the same numbers. */
const SIZES = [
  { size: "huge", width: 10, height: 12.5, gap: 1 },
  { size: "large", width: 7.5, height: 9.25, gap: 1 },
  { size: "medium", width: 6.5, height: 5.25, gap: 0.75 },
];
const SMALL = { size: "small", width: 2.5, height: 2.5, gap: 0.5 };
/** A face with a name takes a square of this many small cells on each side. */
const NAMED_SIDE = 2;
/** The cell that says how many more there are. */
const REST_CELLS = 3;

/**
 * @param {number} count Users who are online.
 * @param {number} people Those of them who are not simulated. They come first.
 * @param {{ width: number, height: number }} room In rem.
 * @returns {{ size: string, named: number, shown: number }} `named` of the `shown` faces have names.
 */
export function fit(count, people, room) {
  for (const cell of SIZES) {
    if (columnsOf(cell, room) * rowsOf(cell, room) < count) continue;
    return { size: cell.size, named: count, shown: count };
  }
  const columns = Math.max(columnsOf(SMALL, room), NAMED_SIDE);
  const rows = Math.max(rowsOf(SMALL, room), NAMED_SIDE + 1);
  // About half of the room is for names.
  const bands = Math.ceil(rows / (2 * NAMED_SIDE));
  const named = Math.min(people, bands * Math.floor(columns / NAMED_SIDE));
  const cells = columns * rows - named * (NAMED_SIDE ** 2 - 1);
  const shown = cells >= count ? count : Math.max(named, cells - REST_CELLS);
  return { size: SMALL.size, named, shown };
}

const columnsOf = ({ width, gap }, room) =>
  Math.floor((room.width + gap) / (width + gap));
const rowsOf = ({ height, gap }, room) =>
  Math.floor((room.height + gap) / (height + gap));
