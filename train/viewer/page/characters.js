// Characters as glyphs and as spoken names: spaces, line ends and controls have symbols.

const CHARACTERS = {
  " ": "space", "\n": "new line", "\t": "tab", "\r": "carriage return",
  "\u00a0": "no-break space",
};
const GLYPHS = {
  " ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍", "\u00a0": "⍽", "\u2028": "⏎", "\u2029": "¶",
};

// A character in a list or a sentence.
function glyphOf(character) {
  if (character in GLYPHS) return GLYPHS[character];
  return inText(character);
}

// A character in the text itself, where a space is a space.
function inText(character) {
  if (character === " ") return "";
  if (character in GLYPHS) return GLYPHS[character];
  const code = character.codePointAt(0);
  if (code < 32) return String.fromCodePoint(0x2400 + code);
  if (code === 127) return "␡";
  if (/[\p{Cc}\p{Cf}\p{Zs}\p{Cn}\p{Co}]/u.test(character)) return "·"; // invisible
  return /\p{M}/u.test(character) ? `◌${character}` : character;
}

function spoken(character) {
  if (character in CHARACTERS) return CHARACTERS[character];
  const code = character.codePointAt(0);
  const unseen = code < 32 || /[\p{Cc}\p{Cf}\p{Zs}]/u.test(character);
  return unseen ? `U+${code.toString(16).toUpperCase().padStart(4, "0")}` : character;
}

const make = (tag) => document.createElement(tag);

// An element for a name; bidirectional text stays inside it.
function isolated(text, className = "") {
  const element = make("bdi");
  element.textContent = text;
  if (className) element.className = className;
  return element;
}
