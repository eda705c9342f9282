/**
 * The relay protocol's frames (relay.proto) as plain objects and back. Decides nothing; used by the console alone.
 *
 * @typedef {{ type: string, [field: string]: any }} Frame
 */

const TYPES = ["UNKNOWN", "SIGN_IN", "HEARTBEAT", "MESSAGE", "MEMBERS"];
const LEVELS = ["NORMAL", "IMPORTANT"];

/** A request as a client sends it. @param {Frame} frame */
export function encode({ type, ...fields }) {
  const number = TYPES.indexOf(type);
  if (number < 0) throw new TypeError(`type is one of ${TYPES.join(", ")}`);
  return bytes(...varint(1, number), ...chunk(2, payload(type, fields)));
}

/** A reply as the server sends it. @param {Uint8Array} frame @returns {Frame} */
export function decode(frame) {
  const { 1: number = 0, 2: data = new Uint8Array() } = read(frame);
  const type = TYPES[number] ?? String(number);
  if (type === "UNKNOWN") {
    const { 1: code = 0, 2: msg } = read(data);
    return { type, code, msg: text(msg) };
  }
  if (type !== "MESSAGE") return { type, data: text(data) };
  const { 1: room, 2: level = 0, 3: items = new Uint8Array() } = read(data);
  return { type, roomID: text(room), msgLv: LEVELS[level] ?? level, items: split(items) };
}

/** @param {string} type @param {Record<string, any>} fields */
function payload(type, { token = "", roomID = "", msgLv = "NORMAL", data = "" }) {
  if (type === "SIGN_IN") return bytes(...chunk(1, utf8(token)), ...chunk(2, utf8(roomID)));
  if (type === "MESSAGE") return bytes(...chunk(1, utf8(roomID)), ...varint(2, Math.max(0, LEVELS.indexOf(msgLv))), ...chunk(3, utf8(data)));
  return utf8(data);
}

/** Items of a broadcast: a length, little-endian in four bytes, and so many bytes each. @param {Uint8Array} all */
function split(all) {
  const view = new DataView(all.buffer, all.byteOffset, all.byteLength);
  const items = [];
  for (let at = 0; at + 4 <= all.length; ) {
    const length = view.getUint32(at, true);
    items.push(text(all.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  return items;
}

/** Fields by number: numbers and byte strings, the two kinds that relay.proto has. @param {Uint8Array} all */
function read(all) {
  /** @type {Record<number, any>} */
  const fields = {};
  let at = 0;
  const number = () => {
    for (let value = 0, scale = 1; at < all.length; scale *= 128) {
      const byte = all[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw new RangeError("the frame ends within a number");
  };
  while (at < all.length) {
    const tag = number();
    const value = number();
    if ((tag & 7) === 0) fields[tag >> 3] = value;
    else if ((tag & 7) === 2) fields[tag >> 3] = all.subarray(at, (at += value));
    else throw new RangeError(`a field of wire type ${tag & 7}`);
  }
  return fields;
}

/** Nothing for zero, as proto3 has it. @param {number} field @param {number} value */
function varint(field, value) {
  return value === 0 ? [] : [field << 3, ...base128(value)];
}

/** @param {number} field @param {Uint8Array} value */
function chunk(field, value) {
  return value.length === 0 ? [] : [(field << 3) | 2, ...base128(value.length), ...value];
}

/** @param {number} value */
function base128(value) {
  const out = [];
  for (; value > 127; value = Math.floor(value / 128)) out.push((value % 128) | 128);
  return [...out, value];
}

/** @param {number[]} all */
function bytes(...all) {
  return Uint8Array.from(all);
}

/** @param {string} value */
function utf8(value) {
  return new TextEncoder().encode(String(value));
}

/** @param {Uint8Array | undefined} value */
function text(value) {
  return new TextDecoder().decode(value);
}
