"""Likelihoods of the counting models against independent integration, expectations against simulation and closed forms."""

import numpy as np
import pytest
from scipy.integrate import dblquad, quad
from scipy.optimize import approx_fprime
from scipy.special import gammaln, hyp2f1

from services.tiering.scores.counting import bgnbd, gammagamma, mbgcnbd, measures, paretonbd
from services.tiering.scores.counting.histories import Histories, condensed

X = np.array([0.0, 0.0, 1.0, 3.0, 7.0, 25.0, 2.0])
T_X = np.array([0.0, 0.0, 4.0, 20.0, 37.0, 30.0, 12.0])
AGE = np.array([39.0, 5.0, 30.0, 39.0, 38.0, 38.5, 12.0])
HISTORIES = Histories(X, T_X, AGE, np.arange(1.0, 8.0), np.array([0.0, 0.0, 1.38, 5.1, 11.0, 4.2, 3.4]))


def test_identical_histories_are_counted_once() -> None:
    found, place = condensed(np.array([1.0, 0, 1]), np.array([2.0, 0, 2]), np.array([9.0, 9, 9]), None, np.array([1.0, 0, 3]))
    assert sorted(zip(found.x, found.weight, found.log_gaps, strict=True)) == [(0, 1, 0), (1, 2, 2)]
    assert found.x[place].tolist() == [1, 0, 1]
    assert found.customers == 3


def test_the_likelihood_of_pareto_nbd_is_the_integral_it_stands_for() -> None:
    """Over the rate of buying, and the instant of the loss, written down without any of our algebra."""
    r, alpha, s, beta = 0.55, 10.6, 0.61, 11.7
    ours, _ = paretonbd.log_likelihood(np.array([r, alpha, s, beta]), HISTORIES)
    for place in (0, 2, 3, 4):
        x, t_x, age = X[place], T_X[place], AGE[place]

        def bought_until(t: float, x: float = x) -> float:
            return float(np.exp(gammaln(r + x) - gammaln(r) + r * np.log(alpha) - (r + x) * np.log(alpha + t)))

        lost, _ = quad(lambda t: bought_until(t) * s * beta**s / (beta + t) ** (s + 1), t_x, age)
        assert ours[place] == pytest.approx(np.log(bought_until(age) * (beta / (beta + age)) ** s + lost), abs=1e-9)


def test_the_likelihood_of_a_regular_buyer_is_the_integral_it_stands_for() -> None:
    """k = 2: over the rate and the chance of being lost; every second tick is a purchase."""
    k, (r, alpha, a, b) = 2, (0.9, 3.0, 0.8, 2.5)
    one = Histories(np.array([2.0]), np.array([3.0]), np.array([5.0]), np.ones(1), np.array([np.log(1.0) + np.log(2.0)]))
    ours, _ = mbgcnbd.log_likelihood(k, np.array([r, alpha, a, b]), one)

    def density(rate: float, p: float) -> float:
        gaps = rate**2 * 1.0 * np.exp(-rate * 1.0) * rate**2 * 2.0 * np.exp(-rate * 2.0)
        silence = np.exp(-rate * 2.0) * (1 + rate * 2.0)
        stays = (1 - p) ** 2 * p + (1 - p) ** 3 * silence
        prior = np.exp(r * np.log(alpha) - gammaln(r) + (r - 1) * np.log(rate) - alpha * rate)
        chance = np.exp(gammaln(a + b) - gammaln(a) - gammaln(b)) * p ** (a - 1) * (1 - p) ** (b - 1)
        return float(gaps * stays * prior * chance)

    total, _ = dblquad(density, 1e-9, 1 - 1e-9, 1e-9, 30, epsabs=1e-10, epsrel=1e-8)
    assert ours[0] == pytest.approx(np.log(total), abs=1e-4)


@pytest.mark.parametrize(
    ("objective", "parameters"),
    [
        (bgnbd.objective, (0.24, 4.4, 0.8, 2.4)),
        (paretonbd.objective, (0.55, 10.6, 0.61, 11.7)),
        (paretonbd.objective, (1.2, 3.0, 0.4, 20.0)),
        (lambda values, histories: mbgcnbd.objective(1, values, histories), (0.5, 6.2, 0.9, 1.6)),
        (lambda values, histories: mbgcnbd.objective(3, values, histories), (0.7, 2.2, 0.5, 1.6)),
    ],
)
def test_the_gradients_are_the_derivatives(objective, parameters) -> None:
    values = np.array(parameters)
    _, slope = objective(values, HISTORIES)
    assert slope == pytest.approx(approx_fprime(values, lambda at: objective(at, HISTORIES)[0], 1e-7), rel=2e-4, abs=2e-4)


def test_the_gradient_of_gamma_gamma_is_the_derivative() -> None:
    x, mean = np.array([1.0, 2.0, 9.0]), np.array([12.0, 40.0, 33.0])
    values = np.array([6.0, 3.5, 15.0])
    _, slope = gammagamma.objective(values, x, mean)
    assert slope == pytest.approx(approx_fprime(values, lambda at: gammagamma.objective(at, x, mean)[0], 1e-7), rel=1e-2)


def test_many_purchases_do_not_cancel_digits_away() -> None:
    """A daily shipper of three years: the closed form of Pareto/NBD takes the difference of two nearly equal numbers there."""
    busy = Histories(np.array([900.0]), np.array([1090.0]), np.array([1095.0]), np.ones(1), np.zeros(1))
    each, alive = paretonbd.log_likelihood(np.array([0.9, 40.0, 0.6, 300.0]), busy)
    assert np.isfinite(each).all()
    assert 0 < np.exp(alive[0]) < 1


def test_expected_purchases_of_regular_buyers_agree_with_the_closed_form_for_k_1() -> None:
    """MBG/NBD's conditional expectation as printed in the paper of Batislam, Denizel and Filiztekin (2007)."""
    r, alpha, a, b = 0.52, 6.18, 0.89, 1.61
    t = 39.0
    ours = mbgcnbd.expected_purchases(1, (r, alpha, a, b), HISTORIES, t)
    series = hyp2f1(r + X, b + X + 1, a + b + X, t / (alpha + AGE + t))
    grown = (a + b + X) / (a - 1) * (1 - ((alpha + AGE) / (alpha + AGE + t)) ** (r + X) * series)
    alive = 1 / (1 + a / (b + X) * ((alpha + AGE) / (alpha + T_X)) ** (r + X))
    assert ours == pytest.approx(grown * alive, rel=1e-5)


def test_the_closed_form_of_bg_nbd_and_its_sum_agree() -> None:
    r, alpha, a, b, t = 0.52, 6.18, 0.89, 1.61, 39.0
    _, alive, _ = bgnbd._terms(np.array([r, alpha, a, b]), HISTORIES)
    summed = bgnbd._summed(r, a, b, X, t / (alpha + AGE + t)) * np.exp(alive)
    assert bgnbd.expected_purchases((r, alpha, a, b), HISTORIES, t) == pytest.approx(summed, rel=1e-5)
    assert np.isfinite(bgnbd.expected_purchases((800_000.0, 1_200_000.0, 0.3, 2.0), HISTORIES, t)).all()
    assert np.isfinite(bgnbd.expected_purchases((r, alpha, 1.0, b), HISTORIES, t)).all()


def test_expected_purchases_of_regular_buyers_agree_with_a_simulation() -> None:
    """Customers are simulated from the model, and those with the same history bought what it expects of them."""
    random = np.random.default_rng(4)
    k, (r, alpha, a, b), age, horizon = 2, (2.0, 1.0, 0.6, 3.0), 6.0, 6.0
    rates, chances = random.gamma(r, 1 / alpha, 200_000), random.beta(a, b, 200_000)
    first, more, last = _simulated(random, k, rates, chances, age, horizon)
    for bought in (1, 2, 3):
        alike = (first == bought) & (last > 4.0) & (last < 4.4)
        one = Histories(np.array([float(bought)]), np.array([4.2]), np.array([age]), np.ones(1), np.zeros(1))
        ours = mbgcnbd.expected_purchases(k, (r, alpha, a, b), one, horizon)[0]
        assert ours == pytest.approx(more[alike].mean(), rel=0.06)


def _simulated(random, k, rates, chances, age, horizon):
    count, more, last = np.zeros(len(rates)), np.zeros(len(rates)), np.zeros(len(rates))
    clock, alive = np.zeros(len(rates)), random.random(len(rates)) > chances
    while alive.any():
        clock = np.where(alive, clock + random.gamma(k, 1 / rates), np.inf)
        early, late = clock <= age, (clock > age) & (clock <= age + horizon)
        count, more, last = count + early, more + late, np.where(early, clock, last)
        alive = alive & (early | late) & (random.random(len(rates)) > chances)
    return count, more, last


def test_k_is_found_again_where_buyers_are_regular() -> None:
    random = np.random.default_rng(7)
    rows = []
    for rate, chance in zip(random.gamma(3.0, 1 / 1.5, 3_000), random.beta(0.6, 4.0, 3_000), strict=True):
        clock, times, age = 0.0, [0.0], 24.0
        while random.random() > chance and (clock := clock + random.gamma(3, 1 / rate)) <= age:
            times.append(clock)
        rows.append((len(times) - 1, times[-1], age, np.log(np.diff(times)).sum()))
    x, t_x, ages, gaps = np.array(rows).T
    k, fit = mbgcnbd.fit(condensed(x, t_x, ages, None, gaps)[0])
    assert k == 3
    assert fit.parameters == pytest.approx((3.0, 1.5, 0.6, 4.0), rel=0.2)


def test_a_tie_counts_half_and_the_table_counts_hits() -> None:
    happened = np.array([True, False, True, False])
    assert measures.auc(np.array([1.0, 1, 1, 1]), happened) == 0.5
    assert measures.auc(np.array([4.0, 3, 2, 1]), happened) == 0.75
    found = measures.table(np.array([4.0, 3, 2, 1]), happened, 2)
    assert (found.precision, found.recall, found.lift) == (0.5, 0.5, 1.0)
