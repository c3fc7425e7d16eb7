"""Non-negative least squares: against SciPy and jaxnnls, its certificate, and its derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import nnls as scipy_nnls

from lensax.inversion import nnls


def problem(n, decades, seed=0):
    """A system whose solution has many zeros; columns of very different size."""
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(n + 10, n)) @ np.diag(10 ** random.uniform(-decades / 2, decades / 2, n))
    return matrix, random.normal(size=n + 10)


@pytest.mark.parametrize(("n", "decades"), [(40, 5), (120, 2)])
def test_agrees_with_scipy_and_is_certified(n, decades):
    a, b = problem(n, decades)
    found = nnls(jnp.asarray(a.T @ a), jnp.asarray(a.T @ b))
    expected = scipy_nnls(a, b)[0]
    scale = np.linalg.norm(a, axis=0)
    assert found.certified
    assert 0.1 * n < (expected == 0).sum() < 0.9 * n
    np.testing.assert_allclose(found.values * scale, expected * scale, atol=1e-9)
    assert np.array_equal(found.values == 0, expected == 0)


def test_agrees_with_jaxnnls():
    jaxnnls = pytest.importorskip("jaxnnls")
    a, b = problem(20, 1, seed=4)
    q, v = jnp.asarray(a.T @ a), jnp.asarray(a.T @ b)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        other = jaxnnls.solve_nnls_primal(q, v)
    np.testing.assert_allclose(nnls(q, v).values, other, atol=1e-7)


def test_start_changes_the_passes_alone():
    a, b = problem(40, 1)
    q, v = jnp.asarray(a.T @ a), jnp.asarray(a.T @ b)
    cold = nnls(q, v)
    warm = nnls(q, v, start=cold.free)
    assert warm.passes == 1 < cold.passes
    np.testing.assert_allclose(warm.values, cold.values, atol=1e-12)


def test_an_inverse_changes_the_passes_alone():
    """The zeros are found from the other side, with an inverse that is good, and with one that misleads."""
    a, b = problem(40, 1)
    q, v = jnp.asarray(a.T @ a), jnp.asarray(a.T @ b)
    cold, inverse = nnls(q, v), jnp.linalg.inv(q)
    found = nnls(q, v, inverse=inverse)
    assert found.passes == 1
    np.testing.assert_allclose(found.values, cold.values, atol=1e-12)
    misled = nnls(q, v, inverse=inverse[::-1, ::-1])
    assert misled.certified
    np.testing.assert_allclose(misled.values, cold.values, atol=1e-12)


def test_free_variables_may_be_negative():
    a, b = problem(12, 0)
    bounded = jnp.arange(12) > 3
    found = nnls(jnp.asarray(a.T @ a), jnp.asarray(a.T @ b), bounded)
    assert found.certified
    assert found.values[:4].min() < 0 <= found.values[4:].min()


def test_derivative_is_exact():
    a, b = problem(15, 2, seed=2)
    weights = jnp.asarray(np.random.default_rng(9).normal(size=15))
    da, db = (jnp.asarray(np.random.default_rng(s).normal(size=x.shape)) for s, x in ((7, a), (8, b)))

    def total(t):
        at, bt = jnp.asarray(a) + t * da, jnp.asarray(b) + t * db
        return weights @ nnls(at.T @ at, at.T @ bt).values

    value = jax.jit(total)
    h = 1e-6
    difference = (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)
    np.testing.assert_allclose(jax.grad(total)(0.0), difference, rtol=1e-6)


def test_batches_are_loops():
    a, b = problem(10, 1)
    q, v = jnp.asarray(a.T @ a), jnp.asarray(np.stack([a.T @ b, -a.T @ b]))
    together = jax.vmap(lambda v: nnls(q, v))(v)
    for i in range(2):
        np.testing.assert_allclose(together.values[i], nnls(q, v[i]).values, atol=1e-14)


def test_what_is_not_finite_is_not_certified():
    q = jnp.eye(4).at[0, 0].set(jnp.nan)
    assert not nnls(q, jnp.ones(4)).certified
    assert not nnls(-jnp.eye(4), jnp.ones(4)).certified
