"""What X-rays can hardly tell: occupancies of light elements on a mixed site."""

from __future__ import annotations

from dataclasses import dataclass

from layerscope.crystals import Phase, scattering_power

__all__ = ["ContrastWarning", "contrast_warnings"]

_MIN_CONTRAST = 0.03


@dataclass(frozen=True)
class ContrastWarning:
    """An occupancy that X-rays hardly see: what, how much of the scattering it moves, and what it trades against."""

    phase: str
    site: str
    contrast: float
    message: str


def contrast_warnings(phase: Phase) -> tuple[ContrastWarning, ...]:
    """Say which refinable occupancies X-rays can hardly tell.

    For each guest of a mixed site the change of the structure factor per unit of occupancy, averaged over
    ``sinθ/λ`` from 0.1 to 0.6 1/Å, is compared with the scattering of the whole cell's strongest site. Boron (5
    electrons) against lithium (3) moves little, and mostly at low angle; a vacancy or a heavy atom on the same site
    does the same to the pattern (``benchmarks/rietveld_boron.py`` puts numbers to it).
    """
    out = []
    points = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    total = max(sum(scattering_power(s.element, p) for p in points) for s in phase.sites)
    for rule in phase.mixing:
        host = phase.site(rule.labels[0])
        for label in rule.labels[1:]:
            guest = phase.site(label)
            change = sum(abs(scattering_power(guest.element, p) - scattering_power(host.element, p)) for p in points)
            contrast = change / total
            if contrast < 5 * _MIN_CONTRAST:
                out.append(
                    ContrastWarning(
                        phase.name,
                        label,
                        contrast,
                        f"{guest.element} on the {host.element} site {host.label} changes the scattering by only "
                        f"{100 * contrast:.1f} % of {phase.name}'s strongest atom per unit of occupancy, mostly at low "
                        f"angle; {_mimics(phase, host.element, guest.element)}. The error quoted holds only if the "
                        "site is full, holds nothing else, and its Biso is right",
                    )
                )
    return tuple(out)


def _mimics(phase: Phase, host: str, guest: str, s: float = 0.1) -> str:
    """Say what else changes the electrons of a mixed site, at the ``sinθ/λ`` where light atoms differ most."""
    heavy = max((site.element for site in phase.sites), key=lambda e: scattering_power(e, s))
    base = scattering_power(host, s)
    unit = scattering_power(guest, s) - base
    metal = f", 1 % {heavy} on it like {(scattering_power(heavy, s) - base) / unit:+.0f} %" if heavy != host else ""
    return f"1 % of the site empty looks like {-base / unit:+.1f} % {guest}{metal}"
