"""Draws a population with pyHalo and times it; the case is read from standard input as JSON, the result is printed.

Run by populations.py in pyHalo's own environment.
"""

import json
import logging
import statistics
import sys
import time
import types
import warnings
from importlib.metadata import version

# pyHalo 1.5 imports profiles of lenstronomy that no release of it has; these populations need none of them.
for module, name in (
    ("king", "King"),
    ("core_collapsed_halo", "CoreCollapsedHalo"),
    ("core_collapsed_halo_bh", "CoreCollapsedHaloBH"),
):
    path = f"lenstronomy.LensModel.Profiles.{module}"
    try:
        __import__(path)
    except ModuleNotFoundError:
        sys.modules[path] = types.ModuleType(path)
        setattr(sys.modules[path], name, object)


def main() -> None:
    """Draws and prints."""
    case = json.load(sys.stdin)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    begin = time.process_time()
    from pyHalo.preset_models import preset_model_from_name

    preset = preset_model_from_name(case["pyhalo"]["preset"])
    settings = {
        "z_lens": case["lens_redshift"],
        "z_source": case["source_redshift"],
        "log_mlow": case["log10_mass"][0],
        "log_mhigh": case["log10_mass"][1],
        "cone_opening_angle_arcsec": 2 * case["radius"],
        "sigma_sub": case["sigma_sub"],
        "log_m_host": 13.3,
        "c_host": 6.0,
        **case["pyhalo"].get("settings", {}),
    }
    loaded = time.process_time()

    def draw() -> tuple[float, float, int]:
        begin = time.process_time()
        realization = preset(**settings)
        drawn = time.process_time()
        quantities = realization.lensing_quantities()
        done = time.process_time()
        return drawn - begin, done - drawn, sum(name != "CONVERGENCE" for name in quantities[0])

    first = draw()
    rows = [draw() for _ in range(case["repeats"])]
    print(
        json.dumps(
            {
                "version": version("pyHalo"),
                "set_up_s": loaded - begin,
                "first_s": first[0] + first[1] - statistics.median(row[0] + row[1] for row in rows),
                "draw_s": statistics.median(row[0] for row in rows),
                "lists_s": statistics.median(row[1] for row in rows),
                "halos": statistics.fmean(row[2] for row in [first, *rows]),
                "draws": len(rows) + 1,
            }
        )
    )


if __name__ == "__main__":
    main()
