"""The application's own color for buttons and links, in a shade of it that can be read (WCAG 2 AA)."""

from __future__ import annotations

_LEAST_CONTRAST = 4.5
_STEP = 0.02

_LIGHT = ("#f4f5f4", "#ffffff")
"""What links and buttons stand on: `--ground` and `--surface` of `templates/style.css`, where a test finds them."""

_DARK = ("#141816", "#1d2220")

_WHITE, _BLACK, _INK = "#ffffff", "#000000", "#0c1d17"


def style(color: str) -> str:
    """Return the style that replaces the color of buttons and links by `color`, which is `#rrggbb`.

    On a light ground it is darkened, and on a dark one lightened, as far as that is necessary to read it.
    """
    light, dark = _readable(color, _LIGHT, _BLACK), _readable(color, _DARK, _WHITE)
    return (
        f":root {{{_variables(light, _mixed(light, _BLACK, 0.2))}}}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{{_variables(dark, _mixed(dark, _WHITE, 0.25))}}} }}\n"
    )


def _variables(shade: str, hover: str) -> str:
    on_accent = max((_WHITE, _INK), key=lambda each: min(contrast(each, shade), contrast(each, hover)))
    return f" --accent: {shade}; --accent-hover: {hover}; --on-accent: {on_accent}; "


def _readable(color: str, grounds: tuple[str, ...], toward: str) -> str:
    """Return the shade of a color nearest to it that can be read on all grounds."""
    shade, part = color.lower(), 0.0
    while min(contrast(shade, ground) for ground in grounds) < _LEAST_CONTRAST:
        part += _STEP
        shade = _mixed(color, toward, part)
    return shade


def _mixed(color: str, other: str, part: float) -> str:
    """Return a color with a part, 0 to 1, of another."""
    pairs = zip(_channels(color), _channels(other), strict=True)
    return "#" + "".join(f"{round(one + (two - one) * part):02x}" for one, two in pairs)


def _channels(color: str) -> list[int]:
    return [int(color[at : at + 2], 16) for at in (1, 3, 5)]


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colors as WCAG 2 defines it, 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    """Return the relative luminance of a color as WCAG 2 defines it, 0 to 1."""
    shares = [channel / 255 for channel in _channels(color)]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares)  # noqa: PLR2004 - of the definition
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
