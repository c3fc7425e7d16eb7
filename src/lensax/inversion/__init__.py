"""From an image back to its source: meshes, priors, the evidence of a lens, and the reconstruction of its source."""

from lensax.inversion.amplitude import (
    Amplitude,
    BrightnessAmplitude,
    BrightnessMap,
    MoffatAmplitude,
    UniformAmplitude,
)
from lensax.inversion.evidence import Evidence
from lensax.inversion.kernels import GaussianKernel, Matern
from lensax.inversion.mesh import AdaptiveMesh, Mesh, PlacedMesh, UniformMesh
from lensax.inversion.nnls import NonNegative, nnls
from lensax.inversion.noise import CorrelatedNoise, IndependentNoise, Noise
from lensax.inversion.noise_map import model_noise_map
from lensax.inversion.parametric import ParametricSource
from lensax.inversion.pixelization import Pixelization
from lensax.inversion.reconstruction import Reconstruction
from lensax.inversion.regularization import Adaptive, Constant, Curvature, Precision, Regularization, Zeroth
from lensax.inversion.source import Source
from lensax.inversion.system import Observation, System
from lensax.inversion.taps import Taps
from lensax.inversion.transform import KernelCDF, LinearTransform, Transform, soft_bounds

__all__ = [
    "Adaptive",
    "AdaptiveMesh",
    "Amplitude",
    "BrightnessAmplitude",
    "BrightnessMap",
    "Constant",
    "CorrelatedNoise",
    "Curvature",
    "Evidence",
    "GaussianKernel",
    "IndependentNoise",
    "KernelCDF",
    "LinearTransform",
    "Matern",
    "Mesh",
    "MoffatAmplitude",
    "Noise",
    "NonNegative",
    "Observation",
    "ParametricSource",
    "Pixelization",
    "PlacedMesh",
    "Precision",
    "Reconstruction",
    "Regularization",
    "Source",
    "System",
    "Taps",
    "Transform",
    "UniformAmplitude",
    "UniformMesh",
    "Zeroth",
    "model_noise_map",
    "nnls",
    "soft_bounds",
]
