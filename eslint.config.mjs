// The rules for JavaScript, each with its reason. The TypeScript compiler checks types and names.

const unsafeHtml = ["innerHTML", "outerHTML", "insertAdjacentHTML", "setHTMLUnsafe"].map(
  (property) => ({ property, message: "Write text with textContent, into copies of templates." }),
)
const randomUuid = {
  object: "crypto",
  property: "randomUUID",
  message: "It does not exist on plain http: use lib/ids.js.",
}

const rules = {
  complexity: ["error", 10], // a function with more branches should be several functions
  curly: ["error", "multi-line"], // braces unless the statement is on one line
  eqeqeq: "error", // == converts its operands
  "max-len": [
    "error",
    { code: 100, ignoreUrls: true, ignoreStrings: true, ignoreTemplateLiterals: true },
  ],
  "max-lines-per-function": ["error", 50], // the same limit as for Python
  "max-params": ["error", 5], // more parameters are hard to tell apart: pass an object
  "max-statements-per-line": ["error", { max: 1 }],
  "no-alert": "error", // it blocks the page
  "no-console": "error", // errors are shown on the page
  "no-constructor-return": "error", // `new` returns an instance of the class
  "no-duplicate-imports": "error", // one import for each module
  "no-eval": "error", // forbidden by the content security policy
  "no-implicit-coercion": "error", // Number(x), String(x) and Boolean(x) are explicit
  "no-implied-eval": "error", // forbidden by the content security policy
  "no-nested-ternary": "error", // use `if` with `return`
  "no-param-reassign": "error", // a parameter keeps its value
  "no-promise-executor-return": "error", // the value is ignored
  "no-restricted-properties": ["error", ...unsafeHtml, randomUuid],
  "no-sequences": "error", // one statement for each expression
  "no-shadow": "error", // one name for one thing
  "no-throw-literal": "error", // only errors have a stack
  "no-unused-expressions": "error", // `if` instead of && for control flow
  "no-unused-vars": "error", // dead code
  "no-useless-return": "error", // dead code
  "no-var": "error", // not limited to its block
  "object-shorthand": "error", // { room } instead of { room: room }
  "prefer-const": "error", // shows what can change
  "prefer-template": "error", // + is for numbers
  radix: "error", // parseInt guesses without a radix
}

const importsOfVendor = {
  "no-restricted-imports": [
    "error",
    {
      patterns: [
        {
          group: ["**/vendor/*", "socket.io-client"],
          message: "Only net/socket.js uses Socket.IO.",
        },
      ],
    },
  ],
}

export default [
  { ignores: [".make/", "static/vendor/", ".venv/", "instance/", "bench/"] },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  { files: ["static/js/**/*.js"], rules: { ...rules, ...importsOfVendor } },
  { files: ["static/js/net/socket.js"], rules: { "no-restricted-imports": "off" } },
  { files: ["tests/js/**/*.mjs", "*.mjs"], rules: { ...rules, "no-console": "off" } },
]
