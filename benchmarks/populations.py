"""Draws populations with lensax and pyHalo in one run: the same cosmology, masses and cone, so that counts agree.

    python benchmarks/environments.py pyhalo      # once: pyHalo in an environment of its own
    python benchmarks/populations.py              # cold, warm and self-interacting dark matter, 1000 and 7000 halos
    python benchmarks/populations.py --sizes 1000 --matter CDM

Every measurement is a fresh process on one thread, and its times are CPU seconds, which other work on the machine does
not stretch. pyHalo is timed to the realisation and to lenstronomy's lists, which `lensing_quantities()` makes of it.
lensax is timed to a catalogue that its tracers take, on the same 75 planes and on the 9 planes of its configurations.

Writes populations.json and .md into benchmarks/results.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import environments
from raytrace import HERE, RESULTS, machine

TIMEOUT = 1800  # seconds for one process
SIZES = {1000: (3.0, 6.5, 0.005), 7000: (4.5, 6.0, 0.0075)}  # radius, lowest log10 mass, sigma_sub
HALF_MODE = 7.5
THIN, WIDE = "{scheme: thin, step: 0.02}", "{scheme: redshift, front: 4, back: 4}"

# name: (dark matter of lensax, preset and settings of pyHalo)
COLLAPSE = [[[6, 10]], [0.3]]
MATTER: dict[str, tuple[str, dict[str, Any]]] = {
    "CDM": ("{CDM: {}}", {"preset": "CDM", "settings": {"two_halo_contribution": False}}),
    "WDM": (
        f"{{WDM: {{log10_m_hm: {HALF_MODE}}}}}",
        {
            "preset": "WDM",
            "settings": {
                "log_mc": HALF_MODE,
                "mass_function_model_subhalos": "SHMF_LOVELL2020",  # by default those of field halos
                "two_halo_contribution": False,
                "subhalo_spatial_distribution": "UNIFORM",
            },
        },
    ),
    "SIDM": (
        "{SIDM: {field: {CoredNFW: {core_fraction: 0.2}}, subhalos: {CoredNFW: {core_fraction: 0.2}},"
        " collapse: {field_probability: 0.3, subhalo_probability: 0.3}}}",
        {
            "preset": "SIDM_core_collapse",
            "settings": {
                "mass_ranges_subhalos": COLLAPSE[0],
                "mass_ranges_field_halos": COLLAPSE[0],
                "probabilities_subhalos": COLLAPSE[1],
                "probabilities_field_halos": COLLAPSE[1],
                "concentration_model_subhalos": "LUDLOW2016",
                "concentration_model_fieldhalos": "LUDLOW2016",
                "mass_threshold_sis": None,
                "x_core_halo": 0.05,
            },
        },
    ),
}

CONFIGURATION = """
cosmology: {{FlatLambdaCDM: {{H0: 67.5, Om0: 0.309}}}}
dark_matter: {matter}
lens:
  redshift: 0.5
  mass: [{{PowerLaw: {{einstein_radius: 1.2, slope: 2.0, e1: 0.1, e2: 0.0, center_x: 0.0, center_y: 0.0}}}}]
source:
  redshift: 1.5
  light: [{{Gaussian: {{intensity: 10.0, sigma: 0.1, e1: 0.0, e2: 0.0, center_x: 0.0, center_y: 0.0}}}}]
line_of_sight:
  planes: {planes}
  cone: {{geometry: double, radius: {radius}}}
  mass_function: {{model: sheth99, log10_mass: [{low}, 10.0]}}
  concentration: {{model: ludlow16, scatter_dex: 0.2}}
  truncation: {{model: r50}}
{two_halo}
subhalos:
  sigma_sub: {sigma_sub}
  log10_mass: [{low}, 10.0]
  positions: {{model: uniform, radius: {radius}}}
  concentration: {{model: ludlow16, scatter_dex: 0.2}}
  truncation: {{model: bound_mass}}
instrument: {{shape: [8, 8], pixel_scale: 0.1, psf: {{Gaussian: {{fwhm: 0.2}}}}, exposure_time: 2000.0}}
"""


def cases(sizes: list[int], matter: list[str], repeats: int) -> list[dict[str, Any]]:
    """The populations to draw, in lensax's and in pyHalo's terms."""
    found = []
    for name in matter:
        ours, theirs = MATTER[name]
        for size in sizes:
            radius, low, sigma_sub = SIZES[size]
            # pyHalo's preset for collapsed halos always has the two-halo term, with the correction by Lazar et al.
            two_halo = "  two_halo: {lazar: true}" if name == "SIDM" else ""
            text = {
                planes: CONFIGURATION.format(
                    matter=ours, planes=planes, radius=radius, low=low, sigma_sub=sigma_sub, two_halo=two_halo
                )
                for planes in (THIN, WIDE)
            }
            found.append(
                {
                    "matter": name,
                    "size": size,
                    "radius": radius,
                    "log10_mass": [low, 10.0],
                    "sigma_sub": sigma_sub,
                    "lens_redshift": 0.5,
                    "source_redshift": 1.5,
                    "pyhalo": theirs,
                    "configurations": text,
                    "repeats": repeats,
                }
            )
    return found


def measure(python: str, worker: str, case: dict[str, Any]) -> dict[str, Any]:
    """What a worker prints; an error of the worker ends the benchmark."""
    threads = {name: "1" for name in ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    done = subprocess.run(
        [python, str(HERE / "workers" / worker)],
        input=json.dumps(case),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env={**os.environ, **threads, "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "cpu")},
    )
    if done.returncode:
        raise RuntimeError(f"{worker} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def run(case: dict[str, Any]) -> list[dict[str, Any]]:
    """One population: pyHalo if it is there, lensax on its 75 planes and on 9."""
    about = {"matter": case["matter"], "size": case["size"]}
    rows = []
    pyhalo = environments.python_of("pyhalo")
    if pyhalo is not None:
        rows.append({"code": "pyHalo", **about, "planes": 75, **measure(str(pyhalo), "pyhalo_populations.py", case)})
    for planes, text in case["configurations"].items():
        found = measure(sys.executable, "lensax_populations.py", {"lensax": text, "repeats": 10 * case["repeats"]})
        rows.append({"code": "lensax", **about, **found, "scheme": planes})
    for row in rows:
        row["total_s"] = row["draw_s"] + row["lists_s"]
        if pyhalo is not None:
            row["pyhalo_draw_over_this"] = rows[0]["draw_s"] / row["draw_s"]
            row["pyhalo_total_over_this"] = rows[0]["total_s"] / row["total_s"]
    return rows


def table(rows: list[dict[str, Any]], about: dict[str, Any]) -> str:
    """The measurements as Markdown."""
    versions = ", ".join(sorted({f"{row['code']} {row['version']}" for row in rows}))
    lines = [
        f"{about['cpu']}, {about['cores']} cores, {about['date']}; load {about['load_before']:.1f} before the run. "
        f"CPU seconds. {versions}.",
        "",
        "| dark matter | code | planes | halos drawn | expected | set-up | first draw or compilation | draw "
        "| with lenstronomy's lists | pyHalo's draw over this | with lists |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        expected = f"{row['expected']:.0f}" if "expected" in row else ""
        lists = f"{1e3 * row['total_s']:.0f} ms" if row["code"] == "pyHalo" else ""
        ratios = [
            f"{row[name]:.0f}" if name in row and row["code"] != "pyHalo" else ""
            for name in ("pyhalo_draw_over_this", "pyhalo_total_over_this")
        ]
        lines.append(
            f"| {row['matter']} | {row['code']} | {row['planes']} | {row['halos']:.0f} | {expected} "
            f"| {row['set_up_s']:.1f} s | {row['first_s']:.1f} s | {1e3 * row['draw_s']:.3g} ms | {lists} "
            f"| {' | '.join(ratios)} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Runs the measurements and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--matter", nargs="+", choices=list(MATTER), default=list(MATTER))
    parser.add_argument(
        "--repeats", type=int, default=5, help="draws of pyHalo after its first; lensax makes ten times more"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    about, rows = machine(), []
    for case in cases(options.sizes, options.matter, options.repeats):
        found = run(case)
        rows += found
        print("\n".join(table(found, about).splitlines()[4:]), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "populations.json").write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")
    (options.out / "populations.md").write_text(table(rows, about))


if __name__ == "__main__":
    main()
