"""Models of a fit: their parts, and which parameters move what."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from fit_problem import LIGHT, MASS, START, parametric, pixelized

import lensax as lx
from lensax.fit import FitModel
from lensax.inversion import BrightnessAmplitude, BrightnessMap, Matern, ParametricSource, Pixelization, UniformMesh
from lensax.parameters import Constant, Parameters
from lensax.recipe import Ingredient


def test_the_parts_have_the_parameters_values():
    model = pixelized()
    theta = {name: jnp.asarray(START[name]) for name in model.prior.names}
    parts = model(theta)
    assert isinstance(parts.source, Pixelization)
    assert float(parts.source.regularization.strength) == START["strength"]
    assert float(parts.lens[0].einstein_radius) == START["radius"]
    assert (float(parts.lens[0].e2), float(parts.lens[1].gamma_1)) == (0.0, 0.02)
    assert parts.light[0].n_components == 2
    other = parametric()
    parts = other({name: jnp.asarray(START[name]) for name in other.prior.names})
    assert isinstance(parts.source, ParametricSource)
    assert float(parts.source.components[0].profiles[0].sigma) == START["width"]


def test_which_parameters_move_the_system():
    assert pixelized().regularization_names == ("strength",)
    assert pixelized().source_names == ("strength",)
    assert parametric().regularization_names == ()
    assert set(parametric().source_names) == {"width", "x", "y", "one"}
    # A parameter that the lens needs too is not the regularization's alone.
    shared = Ingredient(lx.mass.PowerLaw, {"einstein_radius": "radius", "slope": "strength"})
    assert dataclasses.replace(pixelized(), mass=(shared,)).regularization_names == ()


def test_parts_within_parts_and_arrays_of_parameters():
    brightness = BrightnessMap(np.eye(6), (-1.0, 1.0, -1.0, 1.0))
    amplitude = Ingredient(BrightnessAmplitude, {"deviation": "a", "dark": "b"}, parts={"brightness": brightness})
    regularization = Ingredient(Matern, {"length": "a"}, {"nu": 1.5}, {"amplitude": amplitude})
    mesh = UniformMesh((5, 5), (-1.0, 1.0, -1.0, 1.0))
    source = Ingredient(Pixelization, {}, parts={"mesh": mesh, "regularization": regularization})
    points = Ingredient(lx.light.PointSources, {"center_x": ("a", "b"), "center_y": ("b", "a"), "width": "b"})
    values = Parameters({"a": Constant(jnp.asarray(2.0)), "b": Constant(jnp.asarray(0.5))})
    model = FitModel(values, (), source, (points,))
    parts = model({})
    assert float(parts.source.regularization.amplitude.deviation) == 2.0
    assert parts.source.regularization.nu == 1.5
    np.testing.assert_allclose(parts.light[0].center_x, [2.0, 0.5])
    assert set(source.names) == {"a", "b"}


def test_a_name_that_is_no_parameter_is_refused():
    source = Ingredient(ParametricSource, {}, parts={"components": LIGHT[0]})
    with pytest.raises(ValueError, match="unknown parameter 'radius'"):
        FitModel(Parameters({"light": Constant(jnp.asarray(0.0))}), MASS, source)
