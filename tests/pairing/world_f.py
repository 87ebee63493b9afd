"""World F of the notes: imbalanced clusters, half of them aligned already, little noise; and two linear towers.

    z = (o, +-a):  o = unit centre of the cluster in 12 dimensions + .1 / sqrt(12) noise;  a = direction of norm .5 in
                   the cluster's own block of 3;  24 clusters, so 84 dimensions
    x = z Q_x + .01 noise,   y = z Q_y + .01 noise      in 96 dimensions, Q with orthonormal rows
    image tower Q_x^T,  text tower Q_y^T D;   D = identity, but for each cluster with probability .5 its block is
                   .1 I + .9 R, R orthogonal of determinant -1

A group is one (o, a) with both signs: two pairs that only the sign tells apart. The pool's clusters follow a Zipf law
of exponent 1.3, those of the test are uniform. The towers are trained by InfoNCE at temperature .07 with Adam (2e-3,
cosine to a tenth), 20 epochs in batches of 50, each round anew from where they were before any pair.
"""

from dataclasses import dataclass

import numpy as np

CLUSTERS, OWN, CENTRE, WIDTH = 24, 3, 12, 96
INNER = CENTRE + OWN * CLUSTERS
TEMPERATURE, RATE, EPOCHS, BATCH = 0.07, 2e-3, 20, 50


@dataclass
class World:
    """``image`` and ``text`` pool rows in orders of their own, ``pairs`` (n, 2) who belongs to whom; ``image_test``,
    ``text_test`` (g, 2, 96) groups whose pairs are in order; ``towers`` two (96, 84) maps before any pair.
    """

    image: np.ndarray
    text: np.ndarray
    pairs: np.ndarray
    image_test: np.ndarray
    text_test: np.ndarray
    towers: tuple[np.ndarray, np.ndarray]


def world(seed: int, groups: int = 700, scored: int = 300) -> World:
    """Generate the world of a seed."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((CLUSTERS, CENTRE))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    share = np.arange(1, CLUSTERS + 1) ** -1.3
    share = rng.permutation(share / share.sum())
    turns = [np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0][:INNER] for _ in range(2)]

    def drawn(count, law):
        cluster = rng.choice(CLUSTERS, size=count, p=law)
        z = np.zeros((count, 2, INNER))
        z[:, :, :CENTRE] = (centres[cluster] + 0.1 / np.sqrt(CENTRE) * rng.standard_normal((count, CENTRE)))[:, None]
        a = rng.standard_normal((count, OWN))
        a *= 0.5 / np.linalg.norm(a, axis=1, keepdims=True)
        at = CENTRE + OWN * cluster[:, None] + np.arange(OWN)
        for k, sign in enumerate((1, -1)):
            z[np.arange(count)[:, None], k, at] = sign * a
        return [z @ turn + 0.01 * rng.standard_normal((count, 2, WIDTH)) for turn in turns]

    pool, test = drawn(groups, share), drawn(scored, np.full(CLUSTERS, 1 / CLUSTERS))
    spoilt = np.eye(INNER)
    for cluster in np.flatnonzero(rng.random(CLUSTERS) < 0.5):
        turn = np.linalg.qr(rng.standard_normal((OWN, OWN)))[0]
        turn[0] *= -np.sign(np.linalg.det(turn))
        at = slice(CENTRE + OWN * cluster, CENTRE + OWN * (cluster + 1))
        spoilt[at, at] = 0.1 * np.eye(OWN) + 0.9 * turn
    image, text = (side.reshape(-1, WIDTH) for side in pool)
    orders = [rng.permutation(2 * groups) for _ in range(2)]
    pairs = np.stack([np.argsort(order) for order in orders], axis=1)
    towers = (turns[0].T, turns[1].T @ spoilt)
    return World(image[orders[0]], text[orders[1]], pairs, *test, towers)


def narrowed(unit: np.ndarray, offset: float, seed: int = 0) -> np.ndarray:
    """Unit rows in a narrow cone: the same with a constant of that length added."""
    axis = np.random.default_rng(seed).standard_normal(unit.shape[-1])
    moved = unit + offset * axis / np.linalg.norm(axis)
    return moved / np.linalg.norm(moved, axis=-1, keepdims=True)


def embedded(x: np.ndarray, tower: np.ndarray) -> np.ndarray:
    """Unit rows."""
    z = x @ tower
    return z / np.linalg.norm(z, axis=-1, keepdims=True)


def trained(made: World, pairs: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Both towers after training on the pairs bought, from where they were before any."""
    rng = np.random.default_rng(seed)
    x, y = made.image[pairs[:, 0]], made.text[pairs[:, 1]]
    towers = [tower.copy() for tower in made.towers]
    means, squares = ([np.zeros_like(tower) for tower in towers] for _ in range(2))
    steps = EPOCHS * -(-len(pairs) // BATCH)
    done = 0
    for _ in range(EPOCHS):
        order = rng.permutation(len(pairs))
        for begin in range(0, len(pairs), BATCH):
            rows = order[begin : begin + BATCH]
            rate = RATE * (0.1 + 0.45 * (1 + np.cos(np.pi * done / steps)))
            done += 1
            for k, slope in enumerate(slopes([x[rows], y[rows]], towers)):
                means[k] += 0.1 * (slope - means[k])
                squares[k] += 0.001 * (slope**2 - squares[k])
                level = np.sqrt(squares[k] / (1 - 0.999**done)) + 1e-8
                towers[k] -= rate * (means[k] / (1 - 0.9**done)) / level
    return towers[0], towers[1]


def slopes(batch: list[np.ndarray], towers: list[np.ndarray]) -> list[np.ndarray]:
    """Gradients of the InfoNCE loss, mean of both directions, by both towers."""
    raw = [x @ tower for x, tower in zip(batch, towers)]
    norm = [np.linalg.norm(z, axis=1, keepdims=True) for z in raw]
    u, v = (z / n for z, n in zip(raw, norm))
    s = u @ v.T / TEMPERATURE
    rows, columns = (np.exp(s - s.max(axis=axis, keepdims=True)) for axis in (1, 0))
    wrong = rows / rows.sum(axis=1, keepdims=True) + columns / columns.sum(axis=0, keepdims=True) - 2 * np.eye(len(s))
    wrong /= 2 * len(s) * TEMPERATURE
    found = []
    for x, unit, length, pull in zip(batch, (u, v), norm, (wrong @ v, wrong.T @ u)):
        found.append(x.T @ ((pull - (pull * unit).sum(axis=1, keepdims=True) * unit) / length))
    return found


def loss(batch: list[np.ndarray], towers: list[np.ndarray]) -> float:
    """The loss whose slopes those are."""
    u, v = (embedded(x, tower) for x, tower in zip(batch, towers))
    s = u @ v.T / TEMPERATURE
    own = np.diag(s)
    ways = (np.log(np.exp(s - s.max()).sum(axis=axis)) + s.max() for axis in (0, 1))
    return float(np.mean([np.mean(way - own) for way in ways]))
