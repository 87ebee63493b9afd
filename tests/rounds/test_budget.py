"""One purse for labels and pairs."""

import pytest

from modest.rounds import Purchase, mixed, next_kind

PRICES = {"label": 1.0, "pair": 0.5}


def test_every_kind_is_tried_once_the_cheapest_first():
    assert next_kind([], PRICES)[0] == "pair"
    assert next_kind([Purchase("pair", 1, 9.0)], PRICES)[0] == "label"


def test_the_larger_gain_for_its_cost_wins_and_only_the_last_rounds_count():
    past = [Purchase("label", 2, 0.2), Purchase("pair", 1, 0.15)]
    assert next_kind(past, PRICES)[0] == "pair"  # 0.15 against 0.1 for a unit
    past += [Purchase("pair", 1, 0.0), Purchase("pair", 1, 0.0)]
    assert next_kind(past, PRICES, window=3)[0] == "label"
    assert next_kind(past, PRICES, window=1)[0] == "label"
    past = [Purchase("label", 1, 0.0), *past[1:], Purchase("pair", 1, 0.1)]
    assert next_kind(past, PRICES, window=1)[0] == "pair"


def test_equal_worths_go_to_the_cheaper():
    assert next_kind([Purchase("label", 1, 0.1), Purchase("pair", 1, 0.1)], PRICES)[0] == "pair"


def test_what_was_passed_over_for_long_is_tried_again():
    past = [Purchase("label", 1, 0.0), *[Purchase("pair", 1, 0.1)] * 4]
    assert next_kind(past, PRICES, patience=5)[0] == "pair"
    assert next_kind([*past, Purchase("pair", 1, 0.1)], PRICES, patience=5)[0] == "label"


class Shop:
    """A label gains 3 a unit, a pair 5 a unit for as long as there are fewer than 4 of them, then nothing."""

    def __init__(self, stock=100.0):
        self.worth, self.pairs, self.stock = 0.0, 0, stock

    def label(self, amount):
        self.worth += 3 * amount
        return amount

    def pair(self, amount):
        if self.pairs >= self.stock:
            return 0.0
        self.worth += 5 * amount if self.pairs < 4 else 0.0
        self.pairs += 1
        return amount


def test_a_purse_follows_the_gains_and_is_spent_to_the_end():
    shop = Shop()
    records = list(mixed({"label": shop.label, "pair": shop.pair}, lambda: shop.worth, 20.0, 2.0, PRICES, window=1))
    kinds = [record.values["kind"] for record in records]
    assert kinds == ["pair", "label", "pair", "pair", "pair", "pair", "label", "label", "label", "label"]
    assert records[-1].values["spent"] == 20.0
    assert [record.values["gain"] for record in records[:2]] == [10.0, 6.0]
    assert sum(record.values["gain"] for record in records) == shop.worth


def test_a_kind_that_is_sold_out_leaves_the_shop():
    shop = Shop(stock=1)
    records = list(mixed({"label": shop.label, "pair": shop.pair}, lambda: shop.worth, 10.0, 2.0, PRICES))
    assert [record.values["kind"] for record in records] == ["pair", "label", "label", "label", "label"]


def test_the_last_round_gets_what_is_left_and_what_is_too_dear_is_no_longer_sold():
    shop = Shop()
    records = list(mixed({"label": shop.label, "pair": shop.pair}, lambda: shop.worth, 2.6, 2.0, PRICES))
    assert [record.values["cost"] for record in records] == [2.0, pytest.approx(0.6)]
    assert records[1].values["kind"] == "pair"  # a label costs 1, and 0.6 are left


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"total": 0}, "total=0"),
        ({"step": float("nan")}, "step=nan"),
        ({"prices": {"label": 1.0}}, "kind='pair' is unknown"),
        ({"prices": {"label": 1.0, "pair": 0.0}}, "prices\\['pair'\\] is 0.0"),
        ({"prices": {**PRICES, "hug": 1.0}}, "kind='hug' is unknown"),
        ({"window": 0}, "window=0"),
    ],
)
def test_what_is_refused(change, told):
    shop = Shop()
    given = {"buy": {"label": shop.label, "pair": shop.pair}, "measure": lambda: 0.0, "total": 5, "step": 1}
    with pytest.raises(ValueError, match=told):
        mixed(**{**given, "prices": PRICES, **change})


def test_a_kind_that_overspends_is_named():
    with pytest.raises(ValueError, match=r"buy\['label'\] spent 3.0 where it had 1"):
        list(mixed({"label": lambda amount: 3.0}, lambda: 0.0, 5, 1, {"label": 1.0}))


def test_nothing_for_sale_is_refused():
    with pytest.raises(ValueError, match="prices is empty"):
        next_kind([], {})
