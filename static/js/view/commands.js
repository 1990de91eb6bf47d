// Recognizes the commands that begin with a slash.

/**
 * What a text in the composer asks for: a message, a command, or something that is neither.
 *
 * @typedef {{ message: string } | { command: string, argument: string } | { error: string }} Input
 */

const COMMAND_PATTERN = /^\/([a-z]+)(?:\s+([^]*))?$/i
const COMMANDS = ["nick", "help", "who", "leave"]
const TRIMMED_LINES = /\S.*\S|\S/g

/**
 * Two slashes begin a message that starts with one. `/me` is an ordinary message in italics, so
 * that every client can show it.
 *
 * @param {string} text
 * @returns {Input}
 */
export function parseInput(text) {
  const match = COMMAND_PATTERN.exec(text)
  if (!match) return { message: text.startsWith("//") ? text.slice(1) : text }
  const name = match[1]
  const command = name.toLowerCase()
  const argument = (match[2] ?? "").trim()
  if (command === "me") return parseAction(argument)
  if (COMMANDS.includes(command)) return { command, argument }
  return { error: `There is no command /${name}.` }
}

/**
 * @param {string} action
 * @returns {Input}
 */
function parseAction(action) {
  if (action === "") return { error: "Add an action, for example: /me waves" }
  return { message: action.replace(TRIMMED_LINES, "*$&*") }
}
