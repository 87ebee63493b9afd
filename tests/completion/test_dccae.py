"""Deep canonically correlated autoencoders against the vectors, and what the decoders add."""

import numpy as np
import pytest
import torch

from modest.completion import Imagining, dccae
from modest.completion.dcca import correlation
from modest.learning import Towers
from tests.completion.test_dcca import ALL, batch, gradients, network


@pytest.fixture(scope="module")
def vectors(shared):
    with np.load(shared / "reference" / "learning" / "dccae.npz", allow_pickle=False) as found:
        return dict(found)


class TestVectors:
    def test_every_key(self, vectors):
        x = [torch.from_numpy(vectors[f"net_x{m}"]) for m in range(3)]
        z = [network(vectors, f"net.encoder{m + 1}")(x[m]) for m in range(3)]
        decoded = [network(vectors, f"net.decoder{m + 1}")(z[m]) for m in range(3)]
        for m in range(3):
            np.testing.assert_allclose(z[m].detach(), vectors[f"net_z{m}"], atol=1e-10)
            np.testing.assert_allclose(decoded[m].detach(), vectors[f"net_recon{m}"], atol=1e-10)
            mse = dccae.reconstruction(decoded[m : m + 1], x[m : m + 1], ALL[:30, :1])
            assert float(mse) == pytest.approx(float(vectors["net_mse"][m]), abs=1e-10)
        ridge, w = float(vectors["ridge"]), float(vectors["recon_weight"])
        for count, name in ((3, "net"), (2, "two_view")):
            there = ALL[:30, :count]
            loss = float(correlation(z[:count], there, ridge))
            total = loss + w * float(dccae.reconstruction(decoded[:count], x[:count], there))
            wanted = vectors["net_cca_loss_paper" if count == 3 else "two_view_cca_loss"]
            assert loss == pytest.approx(float(wanted), abs=1e-10)
            assert total == pytest.approx(float(vectors[f"{name}_total_paper"]), abs=1e-10)
            if count == 3:
                assert abs(loss - float(vectors["net_cca_loss_wrong_official"])) > 0.1
                assert abs(total - float(vectors["net_total_wrong_official"])) > 0.1
        assert np.abs(z[2].detach() - vectors["net_z2_wrong_official"]).max() > 0.1
        squared = float(correlation(z[:2], ALL[:30, :2], ridge, squared=True))
        assert squared == pytest.approx(float(vectors["two_view_squared_cca_loss_cca_zoo"]), abs=1e-10)
        mse = float(dccae.reconstruction(decoded[:2], x[:2], ALL[:30, :2]))
        assert (squared + mse) / 2 == pytest.approx(float(vectors["two_view_total_cca_zoo_lambda_half"]), abs=1e-10)


def build(**options):
    generator = torch.Generator().manual_seed(3)
    towers = Towers.over((4, 3, 5), 6, generator, (), "feature", torch.float64)
    towers.encoders[1].standardise(torch.full((3,), 0.5), torch.full((3,), 2.0))
    return dccae.DCCAE(towers, ("a", "b", "c"), 3, generator, dccae.DecodedOptions(**options))


class TestReconstruction:
    @pytest.mark.parametrize("rows", ["both", "filled"])
    def test_it_is_the_mean_over_the_rows_that_count(self, rows):
        recipe, one = build(recon_weight=0.5, rows=rows), batch()
        views = recipe.views(one)
        slow = 0.0
        for m in range(3):
            errors = []
            for row in range(len(one)):
                if one.present[row, m]:
                    x = (one.x[m][row] - (0.5 if m == 1 else 0.0)) / (2.0 if m == 1 else 1.0)
                elif rows == "filled":
                    x = torch.zeros_like(one.x[m][row])
                else:
                    continue
                errors += ((recipe.decoders[m](views[m][row]) - x) ** 2).tolist()
            slow += 0.5 * np.mean(errors)
        assert float(recipe.beside(one, views)) == pytest.approx(slow, abs=1e-12)

    def test_a_view_in_no_row_adds_nothing(self):
        x = [torch.ones(4, 2), torch.ones(4, 3)]
        there = torch.tensor([[True, False]] * 4)
        assert float(dccae.reconstruction([x[0] + 3, x[1] + 9], x, there)) == 9.0
        assert float(dccae.reconstruction([x[1]], [x[1] + 9], there[:, 1:])) == 0.0

    def test_the_first_stage_trains_decoders_and_the_second_does_not(self):
        recipe = build()
        first, second = (gradients(stage, batch()) for stage in recipe.stages())
        assert sum(name.startswith("decoders") for name in first) == 12
        assert not any(name.startswith("decoders") for name in second)

    def test_without_weight_it_is_dcca(self):
        one = batch()
        plain, weighed = (float(next(build(recon_weight=w).stages()[0].turns(one))[1]) for w in (0.0, 1.0))
        views = build().views(one)
        head = torch.nn.functional.cross_entropy(build().head_of(views), one.labels)
        expected = float(correlation(views, one.present, 1e-3) + head)
        assert plain == pytest.approx(expected, abs=1e-12)
        assert weighed > plain

    def test_it_does_not_claim_to_imagine(self):
        assert not isinstance(build(), Imagining)

    def test_options_out_of_range_are_refused(self):
        for options in ({"recon_weight": -1.0}, {"rows": "all"}):
            with pytest.raises(ValueError, match=next(iter(options))):
                dccae.DecodedOptions(**options)
