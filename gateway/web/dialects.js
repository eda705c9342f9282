/**
 * What the console knows of each protocol: the usual messages, how a frame is written and read, and what keeps a
 * connection alive. Decides nothing about the socket; console.js does.
 *
 * @typedef {Record<string, any>} Seen values that earlier frames brought: ids, tokens, sessions
 * @typedef {object} Dialect
 * @property {string} about the key of its words
 * @property {string} document where the protocol is described
 * @property {Record<string, (seen: Seen) => object>} messages by the key of the words for what they do
 * @property {(message: any) => string | Uint8Array} write
 * @property {(frame: string | Uint8Array) => any} read
 * @property {(message: any) => any} [answer] what a client must answer to stay
 * @property {{ every: number, message: (seen: Seen) => object }} [beat] what a client must send, in milliseconds
 */
import { decode, encode } from "./relay-wire.js";

const json = {
  write: (/** @type {any} */ message) => JSON.stringify(message),
  read: (/** @type {string | Uint8Array} */ frame) => JSON.parse(typeof frame === "string" ? frame : new TextDecoder().decode(frame)),
};

const PROTOCOL = "/page/protocol.md";
const CLIENTS = "/page/clients.md";

let requests = 1;
const next = () => requests++;
/** People of a second pane are others than those of the first. @param {Seen} seen */
const who = ({ pane = 1 }) => (pane > 1 ? `console ${pane}` : "console");

/** @type {Record<string, Dialect>} */
export const dialects = {
  native: {
    about: "aboutNative",
    document: PROTOCOL,
    ...json,
    messages: {
      "doJoin": ({ room, token, pane }) => ({ op: "join", id: next(), room, name: who({ pane }), token }),
      "doPost": ({ room }) => ({ op: "post", id: next(), room, key: `console-${Date.now()}`, body: { text: "hello" } }),
      "doHistory": ({ room }) => ({ op: "history", id: next(), room, limit: 10 }),
      "doMembers": ({ room }) => ({ op: "members", id: next(), room }),
      "doEdit": ({ room, seq = 1 }) => ({ op: "edit", id: next(), room, seq, body: { text: "hello again" } }),
      "doDelete": ({ room, seq = 1 }) => ({ op: "delete", id: next(), room, seq }),
      "doReact": ({ room, seq = 1 }) => ({ op: "react", id: next(), room, seq, emoji: "👍" }),
      "doTyping": ({ room }) => ({ op: "typing", room }),
      "doMute": ({ room }) => ({ op: "moderate", id: next(), room, action: "mute", person: "u2", seconds: 60 }),
      "doActions": ({ room }) => ({ op: "actions", id: next(), room, limit: 10 }),
      "doSignIn": ({ token = "" }) => ({ op: "auth", id: next(), token }),
      "doLeave": ({ room }) => ({ op: "leave", id: next(), room }),
      "doPing": () => ({ op: "ping", id: next() }),
    },
  },
  onlyone: {
    about: "aboutOnlyOne",
    document: CLIENTS,
    ...json,
    messages: {
      "doJoinRoom": ({ room }) => call("roomHandler.joinRoom", { room_id: room }),
      "doChat": ({ room }) => call("chatHandler.chat", { room_id: room, chat_message: { type: "text", content: "hello" } }),
      "doLeaveIt": ({ room }) => call("roomHandler.leaveRoom", { room_id: room }),
      "doRooms": () => call("roomHandler.getRoomList", {}),
      "doRoomInfo": ({ room }) => call("roomHandler.getRoomInfo", { room_id: room }),
      "doUsers": ({ room }) => call("roomHandler.getRoomAllUserNum", { room_id: room }),
    },
  },
  relay: {
    about: "aboutRelay",
    document: CLIENTS,
    write: encode,
    read: (frame) => decode(typeof frame === "string" ? new TextEncoder().encode(frame) : frame),
    messages: {
      "doSignIn": ({ relayToken, room }) => ({ type: "SIGN_IN", token: relayToken ?? "", roomID: room }),
      "doMessage": ({ room }) => ({ type: "MESSAGE", roomID: room, msgLv: "NORMAL", data: "hello" }),
      "doImportant": ({ room }) => ({ type: "MESSAGE", roomID: room, msgLv: "IMPORTANT", data: "hello at once" }),
      "doMembers": () => ({ type: "MEMBERS" }),
      "doHeartbeat": () => ({ type: "HEARTBEAT" }),
    },
  },
  match: {
    about: "aboutMatch",
    document: CLIENTS,
    ...json,
    messages: {
      "doAccount": (seen) => ({ cmd: "CRT_ACCOUNT_REQ", nickName: who(seen) }),
      "doMatch": ({ accountId = 0 }) => ({ cmd: "MATCH_REQ", accountId }),
      "doSay": ({ accountId = 0, sessionId = 0 }) => ({ cmd: "DIALOGUE_REQ", requestId: String(next()), senderId: accountId, sessionId, content: "hello" }),
      "doViewed": ({ accountId = 0, sessionId = 0, msgId = 0 }) => ({ cmd: "VIEWED_ACK_REQ", sessionId, accountId, msgId }),
      "doReconnect": ({ accountId = 0, token = "" }) => ({ cmd: "RECONNECT_REQ", accountId, token }),
      "doPing": ({ accountId = 0 }) => ({ cmd: "PING_REQ", accountId }),
    },
    answer: ({ cmd, accountId }) => (cmd === "PING_REQ" ? { cmd: "PING_RESP", accountId } : undefined),
  },
  multiperson: {
    about: "aboutMultiperson",
    document: CLIENTS,
    write: (message) => new TextEncoder().encode(JSON.stringify(message)),
    read: json.read,
    messages: {
      "doAInit": (seen) => ({ ...stageA(seen), type: "INIT", message: "join" }),
      "doAChat": (seen) => ({ ...stageA(seen), type: "USER", message: "hello" }),
      "doCInit": (seen) => ({ type: "INIT", from_user_id: userOf(seen), message: "init" }),
      "doCBlock": (seen) => ({ ...stageC(seen, "BLOCK"), block_id: "1" }),
      "doCPerson": (seen) => ({ ...stageC(seen, "PTP"), to_user_id: "1" }),
      "doPing": () => PING,
    },
    beat: { every: 5_000, message: () => PING },
  },
};

const PING = { type: "PING", message: "ping", from_user_id: "0" };

/** @param {string} route @param {object} data */
function call(route, data) {
  return { requestId: next(), type: "request", route, data };
}

/** @param {Seen} seen */
function stageA({ pane = 1 }) {
  return { user_name: who({ pane }), user_id: 1_795_172_464_818 + pane };
}

/** The first users of a new directory: 1 is the gateway's own. @param {Seen} seen */
const userOf = ({ pane = 1 }) => String(1 + pane);

/** @param {Seen} seen @param {string} chat_type */
function stageC(seen, chat_type) {
  const now = Date.now();
  return { type: "MESSAGE", from_user_id: userOf(seen), message_id: "-2", message: "hello", chat_type, send_time: now, temp_id: String(now) };
}
