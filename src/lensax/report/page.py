"""The report as one HTML file: no script, no link to anywhere, and everything from the store escaped."""

import base64
import datetime
import html
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lensax.campaign.layout import FLAGS
from lensax.report import figures
from lensax.report.facts import Facts
from lensax.report.style import STYLE

__all__ = ["page", "write_page"]

LISTED, REMADE = 40, 8
"""Rows, shards and runs that a table lists, and rows that were made again; how many more there are is said."""

MEANINGS = {
    "overflow": "the catalogue or the tracer lacked room, and making the row again with more did not help",
    "non_finite": "an image holds values that are not finite",
    "failed": "the model raised an error",
    "not_made": "not on the disk yet",
}


def page(facts: Facts) -> str:
    """The HTML text."""
    sections = [
        ("montage", "Images", _montage(facts)),
        ("prior", "Coverage of the prior", _prior(facts)),
        ("halos", "Halos", _halos(facts)),
        ("images", "Brightness and noise", _images(facts)),
        ("quality", "Quality", _quality(facts)),
        ("history", "History", _history(facts)),
        ("reading", "How to read it", _reading(facts)),
        ("configuration", "Configuration", f"<pre>{_text(facts.campaign.configuration)}</pre>"),
    ]
    shown = [(name, title, body) for name, title, body in sections if body]
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title, _ in shown)
    bodies = "".join(f'<section id="{name}"><h2>{title}</h2>{body}</section>' for name, title, body in shown)
    title = _text(facts.campaign.path.absolute().name)
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        # Should anything ever slip through, the browser still runs no script and asks nobody for anything.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}: a lensax campaign</title><style>{STYLE}</style></head>"
        f"<body><main>{_head(facts, title)}<nav>{links}</nav>{bodies}{_foot(facts)}</main></body></html>\n"
    )


def write_page(facts: Facts, path: str | Path) -> Path:
    """Write the page; the file is there whole or not at all."""
    path = Path(path)
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.write_text(page(facts), encoding="utf-8")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def _text(value: Any) -> str:
    return html.escape(str(value), quote=True)


def _number(value: float | int) -> str:
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") if isinstance(value, int) else f"{value:.3g}"


def _bytes(size: int) -> str:
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} bytes"


def _figure(figure: Any, about: str, vector: bool = True) -> str:
    if figure is None:
        return ""
    kind, content = figures.data_of(figure, vector)
    data = base64.b64encode(content).decode()
    caption = f"<figcaption>{about}</figcaption>"
    return f'<figure><img alt="{about}" src="data:{kind};base64,{data}">{caption}</figure>'


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]], numbers: Sequence[str] = (), total: int = 0) -> str:
    kinds = [' class="n"' if column in numbers else "" for column in columns]
    head = "".join(f"<th{kind}>{_text(column)}</th>" for column, kind in zip(columns, kinds))
    lines = [
        "<tr>" + "".join(f"<td{kind}>{_text(cell)}</td>" for cell, kind in zip(row, kinds)) + "</tr>" for row in rows
    ]
    more = f"<p class=faint>and {_number(total - len(lines))} more</p>" if total > len(lines) else ""
    body = "".join(lines)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{more}'


def _head(facts: Facts, title: str) -> str:
    campaign, check = facts.campaign, facts.check
    count, good = len(campaign), len(facts.theta)
    trouble = troubles(facts)
    lines = "".join(f"<li>{_text(line)}</li>" for line in trouble)
    verdict = f'<ul class="bad">{lines}</ul>' if trouble else '<p class="good">Every row is there and good.</p>'
    shape = next(iter(facts.images.values())).shape[1:]
    scale = campaign.pixel_scale
    pixels = f"pixels of {scale:g}″" if scale else "pixels"
    cards = [
        (_number(good), f"good rows of {_number(count)}"),
        (_number(len(campaign.names)), "free parameters"),
        (f"{shape[1]} × {shape[0]}", f"{pixels}, {' and '.join(campaign.plan.keep)}"),
        (_bytes(check.size), "on the disk"),
        ("unknown" if check.rate is None else f"{check.rate:.3g} / s", "rows, once compiled"),
        (", ".join(check.devices) or "unknown", f"lensax {', '.join(check.versions) or '?'}"),
    ]
    tiles = "".join(f"<div><b>{_text(value)}</b><span>{_text(name)}</span></div>" for value, name in cards)
    return (
        f'<header><p class="over">lensax campaign</p><h1>{title}</h1>{verdict}<div class="tiles">{tiles}</div></header>'
    )


def troubles(facts: Facts) -> list[str]:
    """What is wrong with the campaign, one line each."""
    check = facts.check
    shards = (
        (check.damaged, "damaged"),
        (check.partial, "cut short while being written"),
        (check.missing, "missing"),
    )
    rows = ((check.overflow, "overflow"), (check.non_finite, "values that are not finite"), (check.failed, "failed"))
    lines = [f"{problem}" for problem in check.metadata]
    lines += [
        f"{_several(len(found), 'shard')} of {_number(check.plan.n_shards)} {word}" for found, word in shards if found
    ]
    lines += [f"{_several(len(found), 'row')}: {word}" for found, word in rows if found]
    return lines


def _several(count: int, noun: str) -> str:
    return f"{_number(count)} {noun}{'' if count == 1 else 's'}"


def _montage(facts: Facts) -> str:
    if not len(facts.shown):
        return "<p>No row can be shown.</p>"
    kinds = " above ".join(facts.campaign.plan.keep)
    about = f"Rows from the whole campaign: {kinds}, all on one asinh scale."
    return _figure(figures.montage(facts), about, vector=False)


def _prior(facts: Facts) -> str:
    names = facts.campaign.names
    if not names:
        return "<p>Nothing is free: every row has the same parameters.</p>"
    if not len(facts.theta):
        return ""
    panels = [
        (figures.label(name, facts.laws[name]), facts.theta[:, i], facts.laws[name]) for i, name in enumerate(names)
    ]
    single = _figure(figures.distributions(panels), "Every free parameter in all good rows; the line is its prior.")
    about = "Pairs of parameters: bright where many rows are."
    if len(names) > figures.MOST:
        about += f" The first {figures.MOST} of {len(names)}, dark matter and halos before the rest."
    pairs = _figure(figures.corner(facts), about)
    table = _table(
        ("parameter", "prior", "unit", "mean", "deviation"),
        [
            (
                name,
                facts.laws[name].words,
                facts.laws[name].unit,
                _beside(float(values.mean()), float(values.std())),
                f"{values.std():.2g}",
            )
            for name, values in zip(names, facts.theta.T)
        ],
        numbers=("mean", "deviation"),
    )
    return single + pairs + table


def _beside(value: float, deviation: float) -> str:
    """A mean with the digits that its deviation leaves a meaning."""
    if not deviation > 0:
        return f"{value:.6g}"
    digits = int(np.clip(2 - np.floor(np.log10(deviation)), 0, 12))
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _halos(facts: Facts) -> str:
    return _figure(figures.halo_counts(facts), "Halos drawn for each universe, empty slots not counted.")


def _images(facts: Facts) -> str:
    found = facts.statistics
    if found is None:
        return ""
    panels: list[tuple[str, np.ndarray, None]] = [
        ("flux of the image, electrons / s", found.flux, None),
        ("brightest pixel, electrons / s", found.peak, None),
    ]
    if found.peak_ratio is not None and found.total_ratio is not None:
        panels += [
            ("signal / noise of the best pixel", found.peak_ratio, None),
            ("signal / noise of the whole image", found.total_ratio, None),
        ]
    kind = facts.campaign.plan.keep[0]
    about = (
        f"Of {_number(len(found.flux))} {kind} images, evenly spread over the campaign; pixels below the noise do not "
        "count for the whole."
    )
    return _figure(figures.distributions(panels), about)


def _quality(facts: Facts) -> str:
    check, status = facts.check, facts.campaign.status
    counts = {name: int(np.count_nonzero(status & bit)) for name, bit in FLAGS.items()}
    flags = _table(
        ("flag", "rows", "meaning"),
        [("none", _number(int(np.count_nonzero(status == 0))), "good")]
        + [(name.replace("_", " "), _number(count), MEANINGS.get(name, "")) for name, count in counts.items()],
        numbers=("rows",),
    )
    errors = _figure(figures.error_estimates(facts), "What the ray tracer says of its own error, in all good rows.")
    bad = sorted({*check.overflow, *check.non_finite, *check.failed, *check.errors})
    rows = _table(
        ("row", "flags", "what happened"),
        [
            (row, ", ".join(name for name, bit in FLAGS.items() if status[row] & bit), check.errors.get(row, ""))
            for row in bad[:LISTED]
            if row < len(status)
        ],
        numbers=("row",),
        total=len(bad),
    )
    # They are good: a few show what it took.
    keys = sorted({key for how in check.remade.values() for key in how})
    remade = _table(
        ("row", *(key.replace("_", " ") for key in keys)),
        [(row, *(check.remade[row].get(key, "") for key in keys)) for row in sorted(check.remade)[:REMADE]],
        numbers=("row", *(key.replace("_", " ") for key in keys)),
        total=len(check.remade),
    )
    damaged = _table(
        ("shard", "rows", "what is wrong"),
        [
            (shard, f"{check.plan.rows(shard).start} to {check.plan.rows(shard).stop - 1}", "; ".join(problems))
            for shard, problems in list(check.damaged.items())[:LISTED]
        ],
        numbers=("shard",),
        total=len(check.damaged),
    )
    parts = [errors, flags]
    parts += [f"<h3>Rows that are not good</h3>{rows}"] if bad else []
    parts += [f"<h3>Rows that were made again with more room</h3>{remade}"] if check.remade else []
    parts += [f"<h3>Damaged shards</h3>{damaged}"] if check.damaged else []
    return "".join(parts)


def _history(facts: Facts) -> str:
    attributes = facts.campaign.attributes
    chart = _figure(figures.progress(facts), "When the shards were finished.")
    keys = ("started", "finished", "made", "seconds", "rate", "ended", "device", "host", "process")
    runs = _table(
        [key if key != "made" else "rows" for key in keys],
        [[_cell(run.get(key, "")) for key in keys] for run in facts.check.runs[:LISTED]],
        numbers=("rows", "seconds", "rate", "process"),
        total=len(facts.check.runs),
    )
    versions = attributes.get("versions")
    about = {
        "seed": facts.campaign.plan.seed,
        "rows in a shard": facts.campaign.plan.shard_size,
        "configuration": f"SHA-256 {facts.campaign.plan.configuration_hash}",
        "revision": attributes.get("git_revision") or "an installed lensax",
        "device": attributes.get("device", ""),
        "tracer": _pairs(attributes.get("tracer")),
        "versions": _pairs(versions),
        "random numbers": attributes.get("random_key", ""),
    }
    provenance = _table(("", "of the first run"), about.items())
    return chart + (runs if facts.check.runs else "") + provenance


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _pairs(value: Any) -> str:
    return ", ".join(f"{key} {entry}" for key, entry in value.items()) if isinstance(value, dict) else str(value or "")


def _reading(facts: Facts) -> str:
    folder, path = _text(facts.campaign.path), _text(repr(str(facts.campaign.path)))
    first = _text(repr(facts.campaign.names[0])) if facts.campaign.names else ""
    theta = f"\ncampaign.theta[{first}]                 # one value per row" if first else ""
    code = f"""import lensax as lx

campaign = lx.Campaign({path})
campaign[:16]                                   # images as a NumPy array{theta}
train, validation, test = campaign.split()
for theta, images in train.jax_batches(key, 256): ...    # or train.torch(), train.to_hdf5(path)"""
    return (
        f"<pre>{code}</pre><p>Without lensax: <code>xarray.open_zarr({path})</code> or any reader of Zarr 3. "
        f"<code>lensax inspect {folder}</code> compares all checksums again.</p>"
    )


def _foot(facts: Facts) -> str:
    now = datetime.datetime.now(datetime.UTC).isoformat(sep=" ", timespec="minutes").replace("+00:00", " UTC")
    return f"<footer>Written by lensax report, {now}. Every file was compared with its checksum.</footer>"
