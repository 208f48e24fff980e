"""Chromium without a window, driven as a person would: real keys, clicks and moves of the pointer.

It speaks the DevTools protocol over a pipe, JSON with a zero byte after each message: no port, no
server and no other package.
"""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
KEYS = {
    "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Tab": 9, "Escape": 27,
    "Home": 36, "End": 35, "PageUp": 33, "PageDown": 34, " ": 32, "Enter": 13,
}  # fmt: skip
SHIFT = 8


def find_chromium() -> str | None:
    """Its path, or None where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Page:
    """One page: what it is told, and what it has complained of."""

    def __init__(self, to_browser: int, from_browser: int):
        self.to_browser, self.from_browser = to_browser, from_browser
        self.session, self.number, self.rest = None, 0, b""
        self.events: list[dict] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params):
        """The result of a command of the protocol."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self.number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self.events.append(answer)

    def _receive(self, timeout: float = 60) -> dict:
        deadline = time.monotonic() + timeout
        while b"\0" not in self.rest:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self.from_browser], [], [], max(left, 0))
            assert ready, f"the browser has said nothing for {timeout} s"
            data = os.read(self.from_browser, 1 << 20)
            assert data, "the browser has ended"
            self.rest += data
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def evaluate(self, expression: str):
        """The value of an expression in the page; a promise is waited for."""
        found = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, (expression, found["exceptionDetails"])
        return found["result"].get("value")

    def wait(self, expression: str, timeout: float = 20):
        """Wait until an expression is true."""
        deadline = time.monotonic() + timeout
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < deadline, f"{expression} was not true in {timeout} s"
            time.sleep(0.02)
        return value

    def open(self, url: str, width: int = 1400, height: int = 900, **media: str):
        """Load a page in a window of that size, under media features such as `scheme="dark"`.

        What was complained of before is forgotten.
        """
        self.call("Page.navigate", url="about:blank")
        self.wait("location.href === 'about:blank'")  # what leaves late would hold up what comes
        self.resize(width, height)
        features = {"prefers-color-scheme": media.get("scheme", "light"),
                    "prefers-reduced-motion": media.get("motion", "no-preference")}  # fmt: skip
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": name, "value": value} for name, value in features.items()
        ])  # fmt: skip
        self.events.clear()
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def resize(self, width: int, height: int, scale: float = 1):
        """Of the window."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=scale, mobile=False)  # fmt: skip

    def key(self, key: str, shift: bool = False):
        """Press and release a key."""
        code = {"key": key, "code": key if len(key) > 1 else "Space" if key == " " else f"Key{key}",
                "windowsVirtualKeyCode": KEYS.get(key, ord(key[0].upper())),
                "modifiers": SHIFT * shift}  # fmt: skip
        text = {" ": " ", "Enter": "\r"}.get(key, key if len(key) == 1 else None)
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **code,
                  **({"text": text} if text else {}))  # fmt: skip
        self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    def type(self, text: str):
        """Into the field that has the focus."""
        for character in text:
            self.key(character)

    def mouse(self, kind: str, x: float, y: float, pressed: bool = False):
        """`mouseMoved`, `mousePressed` or `mouseReleased` there."""
        button = "left" if pressed or kind != "mouseMoved" else "none"
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button,
                  buttons=int(pressed), clickCount=int(kind != "mouseMoved"))  # fmt: skip

    def drag(self, start: tuple[float, float], end: tuple[float, float]):
        """With the button held."""
        self.mouse("mouseMoved", *start)
        self.mouse("mousePressed", *start, pressed=True)
        for k in range(1, 6):
            at = [a + (b - a) * k / 5 for a, b in zip(start, end, strict=True)]
            self.mouse("mouseMoved", *at, pressed=True)
        self.mouse("mouseReleased", *end)

    def click(self, selector: str):
        """In the middle of an element, which is scrolled into sight."""
        x, y = self.middle(selector)
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, pressed=True)
        self.mouse("mouseReleased", x, y)

    def middle(self, selector: str) -> tuple[float, float]:
        """Of an element, on the screen."""
        x, y = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); "
            "e.scrollIntoView({block: 'nearest'}); const b = e.getBoundingClientRect(); "
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        return x, y

    def screenshot(self) -> bytes:
        """A picture of the window as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def complaints(self) -> list[str]:
        """Errors and warnings on the console, exceptions, and requests of anything but the page."""
        self.evaluate("0")  # so that what came before is here
        found = []
        for event in self.events:
            method, params = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                found.append(details.get("exception", {}).get("description", details["text"]))
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
                found.append(str(params["args"]))
            elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                found.append(params["entry"]["text"])
            elif method == "Network.requestWillBeSent":
                url = params["request"]["url"]
                if not url.startswith(("file:", "data:", "about:")):
                    found.append(f"it asked for {url}")
        return found


@contextlib.contextmanager
def open_browser():
    """A `Page` of a browser of its own, which ends with the block; without one the test skips."""
    path = find_chromium()
    if path is None:
        import pytest  # the check of the documentation uses this file without it

        pytest.skip("there is no chromium on the PATH; `make browser` installs it")
    to_browser, from_browser = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # The browser reads from descriptor 3 and writes to 4.
        start = 'exec 3<&"$1" 4>&"$2"; shift 2; exec "$@"'
        process = subprocess.Popen(
            ["bash", "-c", start, "bash", str(to_browser[0]), str(from_browser[1]), path, *FLAGS,
             f"--user-data-dir={profile}"],
            pass_fds=(to_browser[0], from_browser[1]),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser[0])
        os.close(from_browser[1])
        try:
            page = Page(to_browser[1], from_browser[0])
            yield page
            with contextlib.suppress(AssertionError, OSError):
                page.session = None
                page.call("Browser.close")
            process.wait(20)
        finally:
            process.kill()
            process.wait()
            os.close(to_browser[1])
            os.close(from_browser[0])
