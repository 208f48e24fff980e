"""Opens built pages in a browser, wide and narrow, light and dark, and lists their faults."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

LOOK = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
WINDOWS = ((1400, 900), (390, 844))
SCHEMES = ("light", "dark")
SETTLED = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"


def faults(page: Any, path: Path) -> Iterable[str]:
    """List the faults of a page over all windows and schemes, one line each, without repeats.

    Args:
      page: the browser's page, of `tests.support.browser.open_browser`.
      path: the file to open.
    """
    windows: dict[str, str] = {}
    for width, height in WINDOWS:
        for scheme in SCHEMES:
            page.open(path.resolve().as_uri(), width, height, scheme=scheme)
            page.evaluate(SETTLED)
            seen = page.evaluate(f"({LOOK})({str(scheme == 'dark').lower()})")
            for fault in (*seen, *page.complaints()):
                windows.setdefault(fault, f"at {width} pixels, {scheme}")
    return [f"{fault} ({where})" for fault, where in windows.items()]
