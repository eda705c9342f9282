/** Types of parlor.js. Each class has a map of its events, so that `detail` is known in every listener. */

export declare const version: string;

export interface Person {
  id: string;
  name: string;
}

export interface Identity {
  id?: string;
  name: string;
  token?: string;
}

/** Everything up to message `after` of branch `epoch` was seen. */
export interface Position {
  epoch: string;
  after: number;
}

/** What Parlor's own page shows of a body; any other field may be there too. */
export interface Body {
  text?: string;
  [field: string]: any;
}

export interface Message {
  /** `epoch` and `seq` name the message. */
  seq: number;
  epoch?: string;
  /** Milliseconds since 1970. */
  time: number;
  from: Person;
  body: Body;
  /** There on what this client posted itself. */
  key?: string;
  /** The seq of the message that this one changes, and how. */
  amends?: number;
  kind?: "edit" | "delete" | "react";
  edited?: number;
  deleted?: boolean;
  reactions?: Record<string, { count: number; you?: boolean }>;
}

/** Messages `from` to `to`, both included, cannot be had any more; without `to` nobody knows how many. */
export interface Missing {
  from: number;
  to?: number;
  epoch?: string;
}

export interface Posted {
  key: string;
  seq: number;
  duplicate: boolean;
}

export interface HistoryPage {
  epoch: string;
  /** The newest message of the room: items are in the form that changes up to it made of them. */
  seq: number;
  items: Message[];
  more: boolean;
}

/** What a moderator did. `until` is when it ends; the other fields are those of the action. */
export interface Action {
  number: number;
  time: number;
  until?: number;
  by: Person;
  action: string;
  person?: string;
  seq?: number;
  seconds?: number;
  on?: boolean;
  address?: boolean;
}

/** The newest action first. Where there may be `more`, older ones are below `before`. */
export interface ActionsPage {
  actions: Action[];
  more: boolean;
  before?: number;
}

export interface Members {
  count: number;
  people?: Person[];
  more?: boolean;
}

/** `timeout` in milliseconds; both reject with a {@link ParlorError} (`timeout`, `aborted`). */
export interface Limits {
  timeout?: number;
  signal?: AbortSignal;
}

/** As `sessionStorage` and `localStorage` are. */
export interface Store {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export type Token = string | (() => string | Promise<string>);

export interface Options {
  /** What others see, 1 to 64 characters. */
  name: string;
  /** From an earlier `identity` event; a function is asked at every connect, before it expires and when one is refused. */
  token?: Token;
  /** Keeps posts that are not acknowledged, with their keys. */
  storage?: Store;
  /** Posts that may wait in each room, 200 by default. */
  queue?: number;
  /** Posts under way at once in each room. Without it as many as keep their order whatever fails. */
  window?: number;
  /** The largest message, until the server has told: a longer post is refused before it costs the connection. */
  messageBytes?: number;
  /** Replaces the platform's own, in tests and in Node before version 22. */
  WebSocket?: unknown;
  /** Replaces Math.random. */
  random?: () => number;
}

export type State = "connecting" | "open" | "waiting" | "closed";

export type Reason =
  | "unreachable"
  | "timeout"
  | "silent"
  | "closed"
  | "drain"
  | "slow_consumer"
  | "too_large"
  | "protocol_error"
  | "refused"
  | "unauthorized";

/** A request that was refused or got no answer; `code` is the protocol's, or one of this module's. */
export declare class ParlorError extends Error {
  constructor(code: string, message: string, retry?: number);
  code: string;
  /** Milliseconds after which to try again. */
  retry?: number;
}

export interface Problem {
  code: string;
  message: string;
  room?: string;
  attempt?: number;
  reason?: Reason;
}

export interface ChatEvents {
  /** `retry` in milliseconds, in `waiting`; `attempt` counts failures in a row. */
  state: { state: State; retry?: number; attempt: number; reason?: Reason };
  identity: Identity;
  authenticated: { you: Person; role?: "member" | "moderator" };
  /** The server asked to move to another gateway; it happens by itself. */
  moved: { after: number };
  error: Problem;
}

/** What the server takes: bytes of a message, and posts that may be under way at once in their order. */
export interface ServerLimits {
  messageBytes?: number;
  posts?: number;
}

export interface RoomEvents {
  joined: { epoch: string; seq: number; you: Person; members: number; recovered?: boolean; resumed: boolean; limits?: ServerLimits };
  /** In order, each once. */
  messages: { items: Message[] };
  gap: Missing;
  presence: { members: number; joined: Person[]; left: Person[] };
  typing: { from: Person };
  /**
   * Without `until` it holds until it is undone; with 0 it is over. `remaining` are the milliseconds until then, for a clock
   * that may be wrong. `seconds` lie between two messages in a slow room.
   */
  notice: { code: "muted" | "kicked" | "banned" | "slow" | "readonly"; until?: number; remaining?: number; seconds?: number };
  posted: Posted;
  failed: { key: string; code: string; message: string };
  /** The server does not take a post yet, as with `rate_limited` or `slow_mode`; it is sent again after `retry` milliseconds. */
  held: { key: string; code: string; message: string; retry: number };
  /** Joining did not work yet, and is tried again after `retry` milliseconds. */
  delayed: { code: string; message: string; attempt: number; retry: number };
  /** The room cannot be joined, or a moderator took this client out of it (`kicked`, `banned`). */
  refused: { code: string; message: string };
  left: Record<string, never>;
}

interface Told<Events> {
  addEventListener<Type extends keyof Events>(
    type: Type,
    listener: (event: CustomEvent<Events[Type]>) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<Type extends keyof Events>(
    type: Type,
    listener: (event: CustomEvent<Events[Type]>) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: boolean | EventListenerOptions): void;
  dispatchEvent(event: Event): boolean;
}

/** One room, as this client sees it. */
export declare class Room implements Told<RoomEvents> {
  private constructor();
  readonly name: string;
  /** Whether the room is joined on the connection that is there now. */
  readonly ready: boolean;
  /** Whether it was left, refused or closed. */
  readonly left: boolean;
  /** Why a moderator took this client out of the room. */
  readonly removed: "kicked" | "banned" | undefined;
  /** How many are here, over all protocols; unknown until the first join. */
  readonly memberCount: number | undefined;
  /** The newest message that was delivered here. */
  readonly seq: number;
  /** Give it to `join` to resume here later. */
  readonly position: Position | undefined;
  /** How many posts are not acknowledged yet. */
  readonly waiting: number;
  /** Posts that are not acknowledged yet; `sent` ones may have arrived. */
  readonly outbox: { key: string; body: Body; sent: boolean }[];
  joined(limits?: Limits): Promise<void>;
  post(body: Body, options?: { key?: string; durable?: boolean } & Limits): Promise<Posted>;
  /** Bytes that a post of `body` takes on the wire at most, to hold against `messageBytes` of the chat. */
  size(body: Body): number;
  history(page?: { before?: number; limit?: number } & Limits): Promise<HistoryPage>;
  members(options?: { limit?: number } & Limits): Promise<Members>;
  count(limits?: Limits): Promise<number>;
  edit(seq: number, body: Body, limits?: Limits): Promise<unknown>;
  delete(seq: number, limits?: Limits): Promise<unknown>;
  react(seq: number, emoji: string, options?: { remove?: boolean } & Limits): Promise<unknown>;
  moderate(action: string, details?: Record<string, unknown>, limits?: Limits): Promise<unknown>;
  /** What moderators did in the room, for moderators. */
  actions(page?: { before?: number; limit?: number } & Limits): Promise<ActionsPage>;
  typing(): void;
  leave(): void;
}
export interface Room extends Told<RoomEvents> {}

/** A connection that comes back by itself. */
export declare class Chat implements Told<ChatEvents> {
  constructor(url: string, options: Options);
  readonly url: string;
  readonly state: State;
  readonly identity: Identity;
  readonly role: string | undefined;
  /** What the server takes, as the last join told. */
  readonly limits: ServerLimits;
  /** Bytes of the largest message; no bound while nobody told. */
  readonly messageBytes: number;
  readonly rooms: ReadonlyMap<string, Room>;
  /** Everyone this client has been. */
  readonly ids: ReadonlySet<string | undefined>;
  join(name: string, position?: Partial<Position>): Room;
  post(room: string, body: Body, options?: { key?: string; durable?: boolean } & Limits): Promise<Posted>;
  ready(limits?: Limits): Promise<void>;
  /** Tries at once where it was waiting, and checks a connection that may have died unnoticed. */
  wake(): void;
  /** Tries at once where it was waiting, but for a few seconds after the last attempt. */
  hurry(): void;
  close(): void;
}
export interface Chat extends Told<ChatEvents> {}

/** Opens a chat; throws where there is no WebSocket, or no such address. */
export declare function connect(url: string, options: Options): Chat;

/** The pause before attempt number `attempt` (from 0), in milliseconds. */
export declare function pause(attempt: number, random?: () => number): number;
