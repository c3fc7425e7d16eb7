"""Blurring and binning against scipy, both ways, values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import convolve2d

from lensax._types import cast
from lensax.instrument.convolution import blur, is_direct
from lensax.instrument.kernel import Kernel

CASES = [((5, 3), 1), ((3, 5), 2), ((5, 3), 4), ((1, 1), 3)]
LARGE = [((21, 15), 1), ((13, 11), 3), ((9, 17), 4)]


def example(size, sampling, shape=(9, 12), seed=0):
    generator = np.random.default_rng(seed)
    kernel = Kernel(generator.random(size), sampling)
    rows, columns = ((n + 2 * m) * sampling for n, m in zip(shape, kernel.margin))
    return generator.random((rows, columns)), kernel


def expected(samples, kernel, shape=(9, 12)):
    """Direct convolution of the padded image, then the cut, then the mean over pixels."""
    s, margin = kernel.sampling, kernel.margin
    fine = convolve2d(samples, np.asarray(kernel.array), mode="same")
    cut = fine[margin[0] * s : (margin[0] + shape[0]) * s, margin[1] * s : (margin[1] + shape[1]) * s]
    return cut.reshape(shape[0], s, shape[1], s).mean((1, 3))


@pytest.mark.parametrize(
    ("size", "sampling", "method"),
    [(*case, method) for case in CASES for method in ("direct", "fourier")] + [(*case, "fourier") for case in LARGE],
)
def test_blur_is_convolution_then_binning(size, sampling, method):
    samples, kernel = example(size, sampling)
    pixels = blur(jnp.asarray(samples), kernel, method)
    assert pixels.shape == (9, 12)
    np.testing.assert_allclose(pixels, expected(samples, kernel), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("size", "sampling"), [((7, 7), 1), ((41, 41), 1), ((41, 41), 4)])
def test_float32_error_is_small_beside_the_peak(size, sampling):
    """A bright, compact source: the worst case for Fourier transforms."""
    samples, kernel = example(size, sampling, (40, 40), seed=1)
    samples[40, 42] = 1e4
    pixels = blur(jnp.asarray(samples, jnp.float32), cast(kernel, jnp.float32))
    assert pixels.dtype == jnp.float32
    exact = expected(samples, kernel, (40, 40))
    np.testing.assert_allclose(pixels, exact, rtol=0, atol=1e-6 * exact.max())


def test_float32_images_stay_float32_whatever_the_kernel():
    samples, kernel = example((5, 5), 1)
    assert kernel.array.dtype == jnp.float64
    assert blur(jnp.asarray(samples, jnp.float32), kernel).dtype == jnp.float32


@pytest.mark.parametrize("method", ["direct", "fourier"])
def test_gradients_of_image_and_kernel_are_the_adjoint(method):
    """Blurring is linear in both: gradients are exact, so forward mode and reverse mode must agree with the map."""
    samples, kernel = example((5, 3), 2)
    samples = jnp.asarray(samples)
    direction = jax.random.normal(jax.random.key(0), samples.shape)
    weights = jax.random.normal(jax.random.key(1), (9, 12))
    value, tangent = jax.jvp(lambda x: blur(x, kernel, method), (samples,), (direction,))
    np.testing.assert_allclose(tangent, blur(direction, kernel, method), atol=1e-13)
    gradient = jax.grad(lambda x: jnp.vdot(weights, blur(x, kernel, method)))(samples)
    np.testing.assert_allclose(jnp.vdot(gradient, samples), jnp.vdot(weights, value), rtol=1e-12)

    def through_kernel(array):
        return jnp.vdot(weights, blur(samples, Kernel(array, 2), method) ** 2)

    array, step = kernel.array, 1e-6
    change = jax.random.normal(jax.random.key(2), array.shape) * 1e-2
    finite = (through_kernel(array + step * change) - through_kernel(array - step * change)) / (2 * step)
    np.testing.assert_allclose(jnp.vdot(jax.grad(through_kernel)(array), change), finite, rtol=1e-7)


def test_small_kernels_go_the_direct_way():
    assert is_direct(Kernel(np.ones((7, 7))))
    assert not is_direct(Kernel(np.ones((9, 9))))
    assert is_direct(Kernel(np.ones((3, 3)), 4))
    assert not is_direct(Kernel(np.ones((5, 5)), 4))
    samples, kernel = example((7, 7), 1)
    chosen, direct = blur(jnp.asarray(samples), kernel), blur(jnp.asarray(samples), kernel, "direct")
    np.testing.assert_array_equal(chosen, direct)


def test_batches_share_one_kernel():
    samples, kernel = example((5, 5), 2)
    batch = jnp.stack([jnp.asarray(samples), 2 * jnp.asarray(samples)])
    pixels = jax.vmap(blur, (0, None))(batch, kernel)
    np.testing.assert_allclose(pixels[1], 2 * pixels[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("shape", "message"), [((11, 12), r"2 samples per pixel .* \(11, 12\)"), ((4, 12), "2 x 6 pixels has none within")]
)
def test_images_that_do_not_fit_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        blur(jnp.ones(shape), Kernel(np.ones((5, 5)), 2))
