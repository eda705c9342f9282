/**
 * What can be done with a message or about a person: mention, ignore, reply, react, edit, delete, and for moderators what
 * they may do. Decides what is offered; the server decides what is allowed.
 *
 * @typedef {import("./menu.js").Choice} Choice
 * @typedef {import("./menu.js").Quick} Quick
 * @typedef {import("./log.js").Said} Said
 * @typedef {object} Deeds what the view does for a choice
 * @property {boolean} moderator
 * @property {(name: string) => void} mention
 * @property {() => void} ignored
 * @property {(row: Said) => void} reply
 * @property {(row: Said) => void} edit
 * @property {(row: Said) => void} erase
 * @property {(row: Said, emoji: string) => void} react
 * @property {() => void} audit shows what moderators did
 * @property {(action: string, details: Record<string, any>, question?: string) => void} moderate with a question, the person is asked first
 */
import { t } from "./language.js";
import { shownName } from "./names.js";
import { ignore, ignores } from "./preferences.js";

/** Reactions that are offered at once; others can be joined where somebody had them first. */
const EMOJI = ["👍", "❤️", "😂", "🎉", "😮", "😢"];
const MUTE_SECONDS = 600;
const LONG_MUTE_SECONDS = 86_400;
const SLOW_SECONDS = [10, 60, 300];

/** @param {{ id?: string, name: string }} person @param {Deeds} deeds @returns {Choice[]} */
export function personChoices({ id = "", name }, { mention, ignored, moderator, moderate }) {
  const toggle = () => {
    ignore(id, !ignores(id));
    ignored();
  };
  const everyone = [
    { label: t("mention"), act: () => mention(shownName(name)) },
    { label: ignores(id) ? t("ignoreNo") : t("ignore"), act: toggle },
  ];
  return moderator ? [...everyone, ...moderatorChoices(id, shownName(name), moderate)] : everyone;
}

/** @param {string} person @param {string} name @param {Deeds["moderate"]} moderate @returns {Choice[]} */
function moderatorChoices(person, name, moderate) {
  return [
    { label: t("mute"), act: () => moderate("mute", { person, seconds: MUTE_SECONDS }) },
    { label: t("muteLong"), act: () => moderate("mute", { person, seconds: LONG_MUTE_SECONDS }) },
    { label: t("unmute"), act: () => moderate("unmute", { person }) },
    { label: t("kick"), act: () => moderate("kick", { person }) },
    { label: t("ban"), act: () => moderate("ban", { person }, t("banSure", { name })) },
    { label: t("banAddress"), act: () => moderate("ban", { person, address: true }, t("banSure", { name })) },
    { label: t("unban"), act: () => moderate("unban", { person }) },
    { label: t("purge"), act: () => moderate("purge", { person }, t("purgeSure", { name })) },
  ];
}

/** What a moderator can do with the whole room. @param {Deeds} deeds @returns {Choice[]} */
export function roomChoices({ moderate, audit }) {
  return [
    { label: t("audit"), act: () => audit() },
    ...SLOW_SECONDS.map((seconds) => ({ label: t("slowOn", { count: seconds }), act: () => moderate("slow", { seconds }) })),
    { label: t("slowOff"), act: () => moderate("slow", { seconds: 0 }) },
    { label: t("readonlyOn"), act: () => moderate("readonly", { on: true }) },
    { label: t("readonlyOff"), act: () => moderate("readonly", { on: false }) },
  ];
}

/** @param {Said} row a message that the server has @param {Deeds} deeds @returns {Choice[]} */
export function messageChoices(row, deeds) {
  const choices = [{ label: t("reply"), act: () => deeds.reply(row) }];
  if (row.mine && typeof row.body?.text === "string") choices.push({ label: t("edit"), act: () => deeds.edit(row) });
  if (row.mine || deeds.moderator) choices.push({ label: t("deleteMessage"), act: () => deeds.erase(row) });
  return row.mine ? choices : [...choices, ...personChoices(row.from, deeds)];
}

/** @param {Said} row @param {Deeds} deeds @returns {Quick[]} */
export function reactionChoices(row, { react }) {
  return EMOJI.map((emoji) => {
    const chosen = row.reactions?.[emoji]?.you === true;
    return { emoji, chosen, label: t(chosen ? "reactNo" : "react", { emoji }), act: () => react(row, emoji) };
  });
}
