// How the JavaScript is read by a machine: few rules, each with its reason. Types and unknown names are tsc's.

const text = "Text enters the page as text: textContent into a template."

const rules = {
  "complexity": ["error", 10], // a branch too many is a function not yet found
  "curly": ["error", "multi-line"], // one short line may stand without braces, two may not
  "eqeqeq": "error", // == converts, and nobody remembers how
  "max-lines-per-function": ["error", 50], // the same limit as for Python, in tests/test_house.py
  "max-params": ["error", 5], // more is an object without a name
  "no-alert": "error", // it stops the page, and the conversation with it
  "no-console": "error", // what went wrong is said to the person, on the page
  "no-constructor-return": "error", // `new` gives what it names
  "no-duplicate-imports": "error", // one line for each module one leans on
  "no-eval": "error", // the page's policy forbids it
  "no-implicit-coercion": ["error", { allow: ["!!"] }], // +x and "" + x hide a decision
  "no-implied-eval": "error", // likewise
  "no-param-reassign": "error", // a name keeps its meaning
  "no-promise-executor-return": "error", // it looks like an answer, and nobody gets it
  "no-restricted-properties": ["error", ...["innerHTML", "outerHTML", "insertAdjacentHTML", "setHTMLUnsafe"].map((property) => ({ property, message: text })), { object: "crypto", property: "randomUUID", message: "It does not exist on plain http: ids.js." }],
  "no-shadow": "error", // one name, one thing
  "no-throw-literal": "error", // an error knows where it comes from
  "no-unused-vars": "error", // what nobody uses goes out
  "no-useless-return": "error", // likewise
  "no-var": "error", // it leaks out of its block
  "object-shorthand": "error", // { room } says it once
  "prefer-const": "error", // what can change says so
  "prefer-template": "error", // "a" + b is arithmetic
  "radix": "error", // parseInt without one guesses
}

const onlyOneKnowsTheWire = {
  "no-restricted-imports": ["error", { patterns: [{ group: ["**/vendor/*", "socket.io-client"], message: "Only socket.js knows Socket.IO." }] }],
}

export default [
  { ignores: [".make/", "static/vendor/", ".venv/", "instance/", "bench/"] },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  { files: ["static/js/**/*.js"], rules: { ...rules, ...onlyOneKnowsTheWire } },
  { files: ["static/js/socket.js"], rules: { "no-restricted-imports": "off" } },
  { files: ["tests/js/**/*.mjs", "*.mjs"], rules: { ...rules, "no-console": "off" } },
]
