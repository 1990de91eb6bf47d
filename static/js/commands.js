// What a line that begins with a slash asks for.

/** @typedef {{ say: string } | { command: string, rest: string } | { wrong: string }} Order */

const COMMAND = /^\/([a-z]+)(?:\s+([^]*))?$/i
const KNOWN = ["nick", "help", "who", "leave"]

/** Two slashes say one; /me is said in italics, line by line, as every client reads it. @param {string} text @returns {Order} */
export function order(text) {
  const [found, name = "", given = ""] = COMMAND.exec(text) ?? []
  const [command, rest] = [name.toLowerCase(), given.trim()]
  if (!found) return { say: text.startsWith("//") ? text.slice(1) : text }
  if (command === "me" && rest) return { say: rest.replace(/\S.*\S|\S/g, "*$&*") }
  if (command === "me") return { wrong: "Write what you do behind it: /me waves" }
  if (KNOWN.includes(command)) return { command, rest }
  return { wrong: `There is no command /${name}.` }
}
