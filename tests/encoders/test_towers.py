"""What towers over ready views see of them."""

import numpy as np

from modest.encoders.towers import standardised


def test_standardised_rows_have_mean_0_and_deviation_1_but_for_features_that_never_vary():
    x = np.random.default_rng(0).normal(3.0, 5.0, (40, 3)).astype(np.float32)
    x[:, 1] = 0.1  # its mean is off by rounding
    seen = standardised(x, np.arange(10, 40))
    assert np.allclose(seen.mean(axis=0), 0.0, atol=1e-6)
    assert np.allclose(seen[:, [0, 2]].std(axis=0), 1.0)
    assert np.abs(seen[:, 1]).max() < 1e-6
