"""Where PyTorch is missing, asking for its data sets says what to install."""

import sys

import pytest

from lensax.campaign import Campaign


def test_the_missing_package_is_named(original, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "lensax.campaign.torch_datasets", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'lensax\[torch\]'"):
        Campaign(original).torch()
