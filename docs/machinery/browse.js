// What a reader would see wrong on the page that is open: a list of lines. `dark` is the scheme.
(dark) => {
  const found = new Set();
  const root = document.querySelector('article') || document.querySelector('main') || document.body;
  const elements = [...root.querySelectorAll('*')];
  const shown = (e) => e.checkVisibility({opacityProperty: true, visibilityProperty: true});
  const short = (text) => text.trim().replace(/\s+/g, ' ').slice(0, 40);
  const named = (e) =>
    `${e.localName} "${short(e.getAttribute('alt') || e.getAttribute('aria-label') || e.textContent)}"`;

  // Colours as [red, green, blue, alpha], whatever way CSS writes them.
  const pixel = Object.assign(document.createElement('canvas'), {width: 1, height: 1})
    .getContext('2d', {willReadFrequently: true});
  const parsed = new Map();
  const parse = (color) => {
    if (!parsed.has(color)) {
      pixel.clearRect(0, 0, 1, 1);
      pixel.fillStyle = color;
      pixel.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = pixel.getImageData(0, 0, 1, 1).data;
      parsed.set(color, [r, g, b, a / 255]);
    }
    return parsed.get(color);
  };
  const over = ([r, g, b, a], [R, G, B]) =>
    [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const luminance = (color) => {
    const [r, g, b] = color.map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  // What is behind an element; nothing where a picture is, whose colours are not known.
  const behind = (e) => {
    const layers = [];
    for (; e; e = e.parentElement) {
      const style = getComputedStyle(e);
      if (/url\(/.test(style.backgroundImage)) return null;
      layers.push(parse(style.backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reduceRight((below, layer) => over(layer, below), dark ? [18, 18, 18] : [255, 255, 255]);
  };

  for (const image of root.querySelectorAll('img')) {
    if (!shown(image)) continue;
    if (!(image.complete && image.naturalWidth)) found.add(`the picture does not load: ${named(image)}`);
    else if (dark) {
      const frame = behind(image);
      if (frame && luminance(frame) > 0.2) found.add(`a pale frame on the dark page: ${named(image)}`);
      const inverted = getComputedStyle(image).filter.includes('invert');
      if (image.currentSrc.startsWith('data:') && !inverted) {
        pixel.drawImage(image, 0, 0, 1, 1, 0, 0, 1, 1);
        if (luminance(pixel.getImageData(0, 0, 1, 1).data) > 0.4)
          found.add(`a pale picture on the dark page: ${named(image)}`);
        pixel.clearRect(0, 0, 1, 1);
      }
    }
  }

  for (const formula of root.querySelectorAll('.math, .formula, mjx-container, .katex'))
    if (shown(formula) && !(formula.getBoundingClientRect().width > 1))
      found.add(`the formula is not drawn: ${named(formula)}`);
  for (const formula of root.querySelectorAll('.math, .MathJax_Error, .katex-error, merror'))
    if (!formula.querySelector('svg, math, .katex, mjx-container'))
      found.add(`the formula is not drawn: ${named(formula)}`);

  const width = document.documentElement.clientWidth;
  const page = document.scrollingElement.scrollWidth;
  if (page > width) found.add(`the page is ${page} pixels wide in a window of ${width}`);
  // What reaches out of a box that hides it, or out of the page, and cannot be scrolled to.
  const cut = (e, box) => {
    for (let a = e; a; a = a.parentElement) {
      const style = getComputedStyle(a);
      if (style.position === 'fixed') return false;
      const edge = a.getBoundingClientRect();
      if (edge.width <= 1 || edge.height <= 1) return false;  // text for screen readers
      if (/auto|scroll/.test(style.overflowX)) {
        if (a.scrollWidth > a.clientWidth + 1 || a === e) return false;
      } else if (style.overflowX !== 'visible' && a !== e && box.right > edge.right + 1)
        return true;
    }
    return box.right > width + 1 || box.left < -1;
  };
  for (const e of elements) {
    if (!shown(e) || e.closest('svg, select, textarea')) continue;
    const text = [...e.childNodes].find((n) => n.nodeType === 3 && n.data.trim());
    if (!text && !['img', 'canvas', 'table', 'video'].includes(e.localName)) continue;
    const range = document.createRange();
    range.selectNodeContents(text || e);
    if (cut(e, text ? range.getBoundingClientRect() : e.getBoundingClientRect()))
      found.add(`cut off at the edge: ${named(e)}`);
    if (!text || e.closest('[aria-hidden=true], :disabled')) continue;
    const style = getComputedStyle(e), back = behind(e);
    if (!back) continue;
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const color = over(parse(style.color), back), there = contrast(color, back);
    if (there < (large ? 3 : 4.5))
      found.add(`a contrast of ${there.toFixed(1)} only: ${named(e)}`);
  }
  return [...found];
}
