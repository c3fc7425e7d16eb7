"""A PyAutoLens Tracer comes over as it is; runs where PyAutoLens is installed (`make test-peers`)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lensax as lx

al = pytest.importorskip("autolens", reason="PyAutoLens is not installed; `make test-peers` runs these tests")

from lensax.interop.autolens import from_galaxies, from_tracer, to_galaxies  # noqa: E402

LENS, SOURCE = 0.5, 1.5


def galaxies() -> list[Any]:
    lens = al.Galaxy(
        redshift=LENS,
        mass=al.mp.PowerLaw(centre=(0.02, -0.01), ell_comps=(0.06, 0.11), einstein_radius=1.2, slope=2.1),
        shear=al.mp.ExternalShear(gamma_1=0.03, gamma_2=-0.02),
        black_hole=al.mp.PointMass(centre=(0.5, 0.9), einstein_radius=0.03),
        bulge=al.lp.SersicSph(centre=(0.02, -0.01), intensity=0.3, effective_radius=0.4, sersic_index=3.0),
        sheet=al.mp.MassSheet(kappa=-0.01),
    )
    front = al.Galaxy(redshift=0.2, halo=al.mp.NFWTruncatedSph((0.4, -1.0), 0.01, 0.12, 2.0))
    back = al.Galaxy(
        redshift=0.9,
        halo=al.mp.cNFWSph((-0.6, 0.8), 0.02, 0.2, 0.05),
        second=al.mp.NFWSph((1.0, 1.0), 0.004, 0.1),
        third=al.mp.NFWTruncatedMCRLudlowSph((0.3, 0.7), 1e8, 0.9, SOURCE),
    )
    source = al.Galaxy(
        redshift=SOURCE,
        core=al.lp.SersicCore((0.05, 0.1), (0.1, -0.2), 0.15, 1.5, 0.03, 0.4, 0.2, 3.0),
        disc=al.lp.Gaussian((0.0, 0.1), (0.05, 0.1), 0.2, 0.1),
    )
    return [lens, back, front, source]


@pytest.fixture(scope="module")
def tracer() -> Any:
    return al.Tracer(galaxies(), cosmology=al.cosmo.Planck15())


@pytest.fixture(scope="module")
def rays() -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(np.linspace(-2.03, 2.11, 12), np.linspace(-1.97, 2.07, 11))
    return x.ravel(), y.ravel()


def test_source_positions_are_theirs(tracer: Any, rays: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = rays
    theirs = np.asarray(tracer.traced_grid_2d_list_from(al.Grid2DIrregular(np.stack([y, x], -1)))[-1].array)
    trace = lx.raytrace.Direct().trace_at(from_tracer(tracer, pixel_scale=0.05), jnp.asarray(x), jnp.asarray(y))
    np.testing.assert_allclose(trace.source_x, theirs[:, 1], rtol=0, atol=5e-8)
    np.testing.assert_allclose(trace.source_y, theirs[:, 0], rtol=0, atol=5e-8)


def test_light_is_theirs(tracer: Any, rays: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = rays
    scene = from_tracer(tracer, pixel_scale=0.05)
    for lights, galaxy in ((scene.source, tracer.galaxies[3]), (scene.lens_light, tracer.galaxies[0])):
        ours = sum(light.surface_brightness(jnp.asarray(x), jnp.asarray(y)) for light in lights) * 0.05**2
        theirs = np.asarray(galaxy.image_2d_from(al.Grid2DIrregular(np.stack([y, x], -1))).array)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_what_goes_where(tracer: Any) -> None:
    scene = from_tracer(tracer, pixel_scale=0.05, slots=4)
    np.testing.assert_allclose(scene.planes.redshifts, [0.2, 0.5, 0.9])
    np.testing.assert_array_equal(scene.halos.counts, [1, 0, 3])
    assert scene.halos.n_slots == 4
    assert [type(profile).__name__ for profile in scene.macro] == ["PowerLaw", "ExternalShear", "PointMass"]
    np.testing.assert_allclose(scene.halos.sheets, [0.0, -0.01, 0.0])


def with_galaxy(*extra: Any) -> Any:
    return al.Tracer([*galaxies(), *extra], cosmology=al.cosmo.Planck15())


@pytest.mark.parametrize(
    ("redshift", "profile", "message"),
    [
        (0.5, lambda: al.mp.NFW(), r"redshift 0\.5: extra \(NFW\): no counterpart in lensax"),
        (
            0.7,
            lambda: al.mp.Isothermal(),
            r"redshift 0\.7: extra \(Isothermal\): the macro model of lensax has one plane",
        ),
        (0.7, lambda: al.lp.Sersic(), r"redshift 0\.7: extra \(Sersic\): light stands on the lens plane"),
        (1.5, lambda: al.mp.NFWSph(), "deflects nothing at the source's redshift"),
        (0.5, lambda: al.mp.MassSheet(centre=(0.1, 0.0), kappa=0.1), "centres mass sheets on 0"),
        (0.5, lambda: al.lp.Moffat(), r"extra \(Moffat\): no counterpart in lensax"),
        (0.5, lambda: al.lmp.Sersic(), "light and mass at once"),
        (1.5, lambda: al.Pixelization(mesh=None), r"extra \(Pixelization\) has no light before it is fitted"),
        (1.5, lambda: al.ps.Point(), r"extra \(Point\) has no light before it is fitted"),
        (0.5, lambda: {"one": al.mp.NFWSph()}, "extra is a dict of profiles, which PyAutoLens does not trace"),
    ],
)
def test_what_lensax_lacks_is_refused(redshift: float, profile: Any, message: str) -> None:
    tracer = with_galaxy(al.Galaxy(redshift=redshift, extra=profile()))
    with pytest.raises(ValueError, match=message):
        from_tracer(tracer, pixel_scale=0.05)


def with_numbers(profile: Any, **numbers: Any) -> Any:
    """The profile with numbers that its class might refuse."""
    for name, value in numbers.items():
        setattr(profile, name, value)
    return profile


@pytest.mark.parametrize(
    ("profile", "numbers", "message"),
    [
        ("NFWSph", {"kappa_s": -0.1}, r"extra \(NFWSph\): kappa_s = -0\.1, expected positive"),
        ("NFWSph", {"centre": (np.nan, 0.0)}, r"extra \(NFWSph\): center_y = nan, expected a finite number"),
        (
            "NFWTruncatedSph",
            {"truncation_radius": 0.0},
            r"extra \(NFWTruncatedSph\): truncation_radius = 0, expected p",
        ),
        ("cNFWSph", {"core_radius": -0.1}, r"extra \(cNFWSph\): core_radius = -0\.1, expected zero or positive"),
        ("cNFWSph", {"core_radius": 4.0}, r"extra \(cNFWSph\): core_radius = 4, expected at most 3 scale radii of 1"),
        ("MassSheet", {"kappa": np.nan}, r"extra \(MassSheet\): kappa = nan, expected a finite number"),
        ("PowerLaw", {"slope": 1.0}, r"extra \(PowerLaw\): slope = 1, expected between 1 and 3"),
        ("PowerLaw", {"einstein_radius": -1.0}, r"extra \(PowerLaw\): PowerLaw: einstein_radius must be"),
        ("PowerLaw", {"ell_comps": (0.0, 1.2)}, r"extra \(PowerLaw\): ell_comps = \(0, 1\.2\), expected a length bel"),
        ("ExternalShear", {"gamma_1": np.inf}, r"extra \(ExternalShear\): ExternalShear: gamma_1 must be a finite"),
        ("PointMass", {"einstein_radius": -1.0}, r"extra \(PointMass\): PointMass: einstein_radius must be"),
    ],
)
def test_numbers_outside_their_range_are_refused_where_they_stand(
    profile: str, numbers: dict[str, Any], message: str
) -> None:
    extra = with_numbers(getattr(al.mp, profile)(), **numbers)
    tracer = with_galaxy(al.Galaxy(redshift=LENS, extra=extra))
    with pytest.raises(ValueError, match=rf"galaxy at redshift 0\.5: {message}"):
        from_tracer(tracer, pixel_scale=0.05)
    if profile in ("NFWSph", "NFWTruncatedSph", "cNFWSph", "MassSheet"):
        planes = lx.raytrace.Planes([LENS], LENS, SOURCE, lx.cosmology.Planck15)
        with pytest.raises(ValueError, match=rf"galaxy at redshift 0\.5: {message}"):
            from_galaxies([al.Galaxy(redshift=LENS, extra=extra)], planes)


def test_light_outside_its_range_is_refused_where_it_stands() -> None:
    extra = with_numbers(al.lp.SersicSph(), sersic_index=60.0)
    tracer = with_galaxy(al.Galaxy(redshift=SOURCE, extra=extra))
    with pytest.raises(ValueError, match=r"redshift 1\.5: extra \(SersicSph\): Sersic: sersic_index must be between"):
        from_tracer(tracer, pixel_scale=0.05)


@pytest.mark.parametrize("x64", [True, False], ids=["float64", "float32"])
def test_redshifts_that_rounding_tells_apart_share_a_plane(x64: bool) -> None:
    extra = [
        al.Galaxy(redshift=LENS + 1e-7, shear=al.mp.ExternalShear(), halo=al.mp.NFWSph(), light=al.lp.SersicSph()),
        al.Galaxy(redshift=0.1 + 0.1 + 3e-17, halo=al.mp.NFWSph(), sheet=al.mp.MassSheet(kappa=-0.01)),
        al.Galaxy(redshift=0.8999998, halo=al.mp.NFWSph()),
        al.Galaxy(redshift=SOURCE - 1e-7, light=al.lp.SersicSph()),
    ]
    with jax.enable_x64(x64):
        scene = from_tracer(with_galaxy(*extra), pixel_scale=0.05)
        assert scene.planes.redshifts.dtype == (jnp.float64 if x64 else jnp.float32)
        np.testing.assert_allclose(scene.planes.redshifts, [0.2, 0.5, 0.9], rtol=0, atol=5e-7)
        np.testing.assert_array_equal(scene.halos.counts, [2, 1, 4])
        np.testing.assert_allclose(scene.halos.sheets, [-0.01, -0.01, 0.0])
        assert len(scene.source) == 3
        assert len(scene.lens_light) == 2


def test_tracers_without_what_lensax_needs_are_refused(tracer: Any) -> None:
    for pixel_scale in (0.0, -0.1, np.nan):
        with pytest.raises(ValueError, match=f"pixel_scale = {pixel_scale:g}, expected a positive number of arcsec"):
            from_tracer(tracer, pixel_scale=pixel_scale)
    with pytest.raises(ValueError, match="tracer: expected at least one galaxy, the source, found none"):
        from_tracer(al.Tracer([]))
    with pytest.raises(
        ValueError, match=r"lens_redshift: redshift = 1\.7, expected above 0 and in front of the source"
    ):
        from_tracer(al.Tracer([al.Galaxy(redshift=1.5)]), lens_redshift=1.7)
    observer = al.Galaxy(redshift=0.0, halo=al.mp.NFWSph())
    with pytest.raises(ValueError, match=r"redshift 0: halo \(NFWSph\): redshift = 0, expected above 0"):
        from_tracer(with_galaxy(observer), pixel_scale=0.05)


def test_another_cosmology_is_refused() -> None:
    tracer = al.Tracer(galaxies(), cosmology=lx.cosmology.Planck15)
    with pytest.raises(TypeError, match="cosmology: expected a FlatLambdaCDM of PyAutoLens, found FlatLambdaCDM"):
        from_tracer(tracer, pixel_scale=0.05)


def test_halos_of_another_family_are_refused() -> None:
    planes = lx.raytrace.Planes([LENS], LENS, SOURCE, lx.cosmology.Planck15)
    table = {"redshift": [LENS], "center_x": [0.0], "center_y": [0.0], "kappa_s": [0.01], "scale_radius": [0.1]}
    sidm = lx.halos.HaloCatalogue.from_table({**table, "core_radius": [0.05], "profile": ["parametric_sidm"]}, planes)
    with pytest.raises(ValueError, match="the first is a parametric_sidm in slot 0 of plane 0"):
        to_galaxies(sidm, planes)


def test_brightness_needs_a_pixel_scale(tracer: Any) -> None:
    with pytest.raises(ValueError, match=r"bulge \(SersicSph\): pixel_scale is needed"):
        from_tracer(tracer)


def test_lens_redshift_is_needed_without_a_macro_profile() -> None:
    halo = al.Galaxy(redshift=0.3, halo=al.mp.NFWSph())
    source = al.Galaxy(redshift=1.0, light=al.lp.SersicSph())
    with pytest.raises(ValueError, match="lens_redshift: needed"):
        from_tracer(al.Tracer([halo, source]), pixel_scale=0.1)
    scene = from_tracer(al.Tracer([halo, source]), pixel_scale=0.1, lens_redshift=0.5)
    np.testing.assert_allclose(scene.planes.redshifts, [0.3, 0.5])


@pytest.fixture(scope="module")
def catalogue() -> tuple[Any, Any]:
    """Halos of every kind that PyAutoLens has, an empty plane, sheets, and room to spare."""
    planes = lx.raytrace.Planes([0.2, 0.5, 0.9, 1.2], LENS, SOURCE, lx.cosmology.Planck15)
    random = np.random.default_rng(8)
    n = 9
    table = {
        "redshift": random.choice([0.2, 0.5, 1.2], n),
        "center_x": random.uniform(-2, 2, n),
        "center_y": random.uniform(-2, 2, n),
        "kappa_s": random.uniform(1e-3, 1e-2, n),
        "scale_radius": random.uniform(0.02, 0.2, n),
        "truncation_radius": np.where(np.arange(n) < 5, random.uniform(0.1, 1, n), np.inf),
        "core_radius": np.where(np.arange(n) > 6, 0.01, 0.0),
    }
    return lx.halos.HaloCatalogue.from_table(table, planes, slots=7, sheets=[0.0, -1e-2, -3e-3, 0.0]), planes


def test_catalogue_and_galaxies_are_the_same_thing(catalogue: tuple[Any, Any]) -> None:
    first, planes = catalogue
    galaxies = to_galaxies(first, planes)
    assert sum("sheet" in vars(galaxy) for galaxy in galaxies) == 2
    again = from_galaxies(galaxies, planes, slots=7)
    for name in ("kappa_s", "scale_radius", "truncation_radius", "core_radius", "center_x", "center_y"):
        np.testing.assert_array_equal(getattr(again.halos, name), getattr(first.halos, name))
    np.testing.assert_array_equal(again.sheets, first.sheets)


def test_galaxies_deflect_as_the_catalogue(catalogue: tuple[Any, Any], rays: tuple[np.ndarray, np.ndarray]) -> None:
    first, planes = catalogue
    x, y = rays
    tracer = al.Tracer([*to_galaxies(first, planes), al.Galaxy(redshift=SOURCE)], cosmology=al.cosmo.Planck15())
    theirs = np.asarray(tracer.traced_grid_2d_list_from(al.Grid2DIrregular(np.stack([y, x], -1)))[-1].array)
    trace = lx.raytrace.Direct().trace_at(lx.Scene(planes, (), first), jnp.asarray(x), jnp.asarray(y))
    np.testing.assert_allclose(trace.source_x, theirs[:, 1], rtol=0, atol=5e-8)
    np.testing.assert_allclose(trace.source_y, theirs[:, 0], rtol=0, atol=5e-8)


def test_galaxies_that_are_more_than_halos_are_refused(catalogue: tuple[Any, Any]) -> None:
    _, planes = catalogue
    for profile, name in ((al.mp.Isothermal(), "Isothermal"), (al.lp.Sersic(), "Sersic")):
        with pytest.raises(ValueError, match=rf"redshift 0\.5: extra \({name}\): has no place in a HaloCatalogue"):
            from_galaxies([al.Galaxy(redshift=LENS, extra=profile)], planes)
    with pytest.raises(ValueError, match=r"redshift = 0\.6 is on no plane"):
        from_galaxies([al.Galaxy(redshift=0.6, sheet=al.mp.MassSheet(kappa=0.1))], planes)
    table = {"redshift": [0.5], "center_x": [0.0], "center_y": [0.0], "kappa_s": [0.01], "scale_radius": [0.1]}
    both = lx.halos.HaloCatalogue.from_table({**table, "truncation_radius": [1.0], "core_radius": [0.05]}, planes)
    with pytest.raises(ValueError, match=r"halo 0: core_radius = 0\.05 and truncation_radius = 1"):
        to_galaxies(both, planes)
