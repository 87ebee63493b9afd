r"""CPM: every item has a latent of its own, from which all its views are decoded, whichever it has.

Nothing has to be filled in: an absent view asks nothing of the latent, and classes gather in the space of the latents.
It is of use where one wants that space, or reconstructions that any presence pattern has on equal terms. As a
classifier it stayed behind ``zero`` in a first trial (scene15, 30 % of the cells absent, validation rows, one seed:
0.57 after 20 epochs of batches of 32, some 0.6 with the table as batch, against 0.71). Reference: Zhang, Han, Cui, Fu,
Zhou, Hu: *CPM-Nets: Cross Partial Multi-View Networks*, NeurIPS 2019 (without the adversary of the journal version).

=========  =====================  =========  ================================================================
symbol     here                   shape      meaning
=========  =====================  =========  ================================================================
x_v, r_iv  ``Towers.inputs``      (n, d_v)   standardised view, and whether row i has it
h_i        ``Training.latents``   (n, s)     latent of a training row
g_v        ``decoders``                      decoder of view v, linear in all its layers unless ``nonlinear``
F_ic                              (n, C)     mean inner product of h_i with the other latents of class c
mu_c       ``centres``            (C, s)     mean latent of class c
w          ``weight``             number     lambda, of the class loss
=========  =====================  =========  ================================================================

Equations. e_i = sum_v r_iv |g_v(h_i) - x_iv|^2; l_i = max(0, [argmax_c F_ic != y_i] + max_c F_ic - F_iy). For every
batch ``steps`` steps of the decoders down mean_i e_i, then as many of the latents down mean_i (e_i + w l_i). A new row
gets the h that minimises e, and F_c = <h, mu_c>, the mean inner product; their softmax are the probabilities.

How a new row is scored, ``scoring``:

- ``exact`` (default): linear decoders g_v(h) = h A_v + c_v have the minimiser of e + ridge |h|^2 in closed form,
  h (sum_v A_v A_v' + ridge I) = sum_v (x_v - c_v) A_v' over the views it has. The same however many are asked about.
- ``steps``: ``scoring_steps`` steps of Adam at ``scoring_rate`` from h = 0, by the one loop; any decoders. Neither does
  a row depend here on the others.
- ``transductive``: from either of these on, a copy of the decoders is tuned together with the latents on all rows asked
  about at once, as the paper describes (the released code does not). Then, and only then, a prediction depends on the
  other rows of the question, of which 4096 at a time are tuned on. The best epoch is chosen without it.

Where we depart. ``form="printed"`` takes the paper's Eq. 7 as it is printed, l_i = max_c ([c != y] + F_ic - F_iy),
which also pushes rows that are right to a margin of 1; the text and the released code have the form above. Losses are
means over the batch, not sums. The released code drops a tenth of the decoders' inputs at all times; we drop nothing.
A class whose only training row is h_i has F_ic = 0 for it (0 / 0 in the released code). Views are standardised, not
scaled to unit length or range. The paper's batch is the table. Where it is smaller, F is still taken over the whole
table, but only the latents of the batch move, and those of other batches are put back after each step, since Adam's
momentum would carry them on. Between two visits its moments fade, so that a visit moves a latent some times further
than ``pace`` says. Latents see few of the steps that decoders see, so theirs are ``pace`` times as long (the paper:
rates 1e-3 and 1e-2). Encoders have no part in this: of the towers only mean and deviation are used, ``hidden`` and
``width`` of the classifier change nothing, and decoders need ready views, any number of them.

``size``, ``weight`` and ``ridge`` follow one trial each on validation rows of scene15 and mosi with the table as batch,
``steps`` and ``pace`` on none. Cost: 2 ``steps`` turns per batch, each of the latents O(n s) for a table of n rows, so
large tables want large batches. Scoring takes a system of s equations per presence pattern, s^3, and s (d + s) per row,
once for all and once for each view alone; ``steps`` as many passes as it has steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modest.checks import known
from modest.completion.hiding import answers
from modest.completion.latents import FORMS, class_loss, class_means, decoder, errors, exact, searched, similarity
from modest.learning.towers import Towers
from modest.training.task import Batch, Logits, Task

__all__ = ["CPM", "Options"]

SCORINGS = ("exact", "steps", "transductive")


@dataclass(frozen=True)
class Options:
    """Numbers of the latents, of the training and of scoring.

    ``size`` s; ``hidden`` sizes of the decoders' hidden layers, with a LeakyReLU after each if ``nonlinear``;
    ``weight`` w, ``form`` "text" or "printed", ``steps``, ``pace``, ``scoring``, ``scoring_steps`` and
    ``scoring_rate`` see the module; ``ridge`` > 0 pulls exact latents towards 0.
    """

    size: int = 64
    hidden: Sequence[int] = ()
    nonlinear: bool = False
    weight: float = 10.0
    form: str = "text"
    steps: int = 2
    pace: float = 50.0
    scoring: str = "exact"
    ridge: float = 1.0
    scoring_steps: int = 200
    scoring_rate: float = 0.05

    def __post_init__(self) -> None:
        """Check the numbers."""
        known(self.form, FORMS, "options['form']")
        known(self.scoring, SCORINGS, "options['scoring']")
        for name in ("size", "steps", "scoring_steps"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"options[{name!r}]={value} is not a whole number of at least 1.")
        if any(isinstance(width, bool) or not isinstance(width, int) or width < 1 for width in self.hidden):
            raise ValueError(f"options['hidden']={self.hidden} holds something else than positive whole numbers.")
        for name in ("pace", "ridge", "scoring_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"options[{name!r}]={getattr(self, name)} is not a positive number.")
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"options['weight']={self.weight} is not a number of at least 0; the default is 10.")
        if self.nonlinear and self.scoring == "exact":
            raise ValueError("options['scoring']='exact' needs linear decoders; with nonlinear=True use 'steps'.")


class _Latents(nn.Module):
    """Latents (n, s) of the training rows, kept divided by ``pace`` so that a step moves them that much further."""

    def __init__(self, start: Tensor, pace: float) -> None:
        super().__init__()
        self.pace, self.paced = pace, nn.Parameter(start / pace)

    def forward(self) -> Tensor:
        """As they are decoded."""
        return self.paced * self.pace


class CPM:
    """The recipe; see the module."""

    def __init__(
        self, towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options
    ) -> None:
        if towers.fill != "feature":
            raise ValueError(f"method='cpm' asks nothing of absent views; leave fill={towers.fill!r} out.")
        self.name, self.towers, self.classes, self.options = "cpm", towers, classes, options
        self.decoders = nn.ModuleList(
            decoder(options.size, options.hidden, width, options.nonlinear, generator, towers.dtype)
            for width in towers.widths(names)
        )
        centre = torch.zeros(classes, options.size, dtype=towers.dtype)
        self.centres = nn.ParameterList([nn.Parameter(centre, requires_grad=False)])
        self.net: nn.Module = nn.ModuleDict({"towers": towers, "decoders": self.decoders, "centres": self.centres})
        self.seed = int(torch.randint(2**31, (), generator=generator))
        self.rows, self.labels = torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long)

    def survey(self, batches: Iterable[Batch]) -> None:
        """Which rows of the table train, and their classes."""
        found = [(batch.rows, batch.labels) for batch in batches]
        rows, labels = (torch.cat([part.cpu() for part in parts if part is not None]) for parts in zip(*found))
        order = rows.argsort()
        self.rows, self.labels = rows[order], labels[order]

    def stages(self) -> list[Task]:
        """One stage: latents and decoders in turns."""
        if not len(self.rows):
            raise ValueError("cpm needs a latent for every training row and knows of none; call survey(batches) first.")
        return [Training(self)]

    def inputs(self, batch: Batch) -> list[Tensor]:
        """(n, d_m) standardised inputs of every modality."""
        return [self.towers.inputs(batch, m) for m in range(len(self.towers))]

    def latents(self, batch: Batch, retune: bool = False) -> Tensor:
        """(n, s) latents of rows that did not train; with ``retune`` of all of them together."""
        told, inputs, present = self.options, self.inputs(batch), batch.present
        steps, rate = told.scoring_steps, told.scoring_rate
        with torch.no_grad():
            if told.nonlinear or told.scoring == "steps":
                nothing = self.centres[0].new_zeros(len(batch), told.size)
                found = searched(self.decoders, nothing, inputs, present, steps, rate)
            else:
                found = exact(self.decoders, inputs, present, told.ridge)
            return searched(self.decoders, found, inputs, present, steps, rate, retune=True) if retune else found

    def logits(self, batch: Batch, retune: bool | None = None) -> Logits:
        """Mean inner products with the classes' training latents."""
        retune = self.options.scoring == "transductive" if retune is None else retune
        return answers(lambda one: self.latents(one, retune) @ self.centres[0].T, batch)

    def imagined(self, batch: Batch, m: int) -> Tensor:
        """(n, d_m) modality m decoded from the latent of what the row has, standardised."""
        decoded: Tensor = self.decoders[m](self.latents(batch))
        return decoded

    def truth(self, batch: Batch, m: int) -> Tensor:
        """(n, d_m) the modality itself, standardised."""
        return self.towers.inputs(batch, m)


class Training:
    """The stage: its net holds the training latents beside the recipe's."""

    name = "cpm"

    def __init__(self, recipe: CPM) -> None:
        self.recipe, options = recipe, recipe.options
        generator = torch.Generator().manual_seed(recipe.seed)
        start = torch.empty(len(recipe.rows), options.size, dtype=recipe.towers.dtype)
        self.latents = _Latents(start.uniform_(-1, 1, generator=generator) / math.sqrt(options.size), options.pace)
        self.net: nn.Module = nn.ModuleDict({**dict(recipe.net.named_children()), "latents": self.latents})
        self._centre()

    def modules(self) -> Mapping[str, nn.Module]:
        """Two groups; encoders are in none."""
        return {"decoders": self.recipe.decoders, "latents": self.latents}

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """``steps`` turns of the decoders, then as many of the latents of the batch's rows."""
        inputs, places = self.recipe.inputs(batch), self._places(batch)
        for _ in range(self.recipe.options.steps):
            latents = self.latents().detach()[places]
            yield "decoders", errors(self.recipe.decoders, latents, inputs, batch.present).mean()
        rest = torch.ones(len(self.recipe.rows), dtype=torch.bool, device=places.device)
        rest[places] = False
        for _ in range(self.recipe.options.steps):
            before = self.latents.paced.detach().clone()
            yield "latents", self._loss(batch, inputs, places)
            with torch.no_grad():  # momentum moved the rows of other batches too
                self.latents.paced[rest] = before[rest]
        self._centre()

    def _loss(self, batch: Batch, inputs: Sequence[Tensor], places: Tensor) -> Tensor:
        options, whole = self.recipe.options, self.latents()
        own, labels = whole[places], self.recipe.labels.to(places.device)
        around = whole.detach().index_copy(0, places, own)
        similar = similarity(own, batch.labels, around, labels, self.recipe.classes)
        lost = class_loss(similar, batch.labels, options.form)
        return (errors(self.recipe.decoders, own, inputs, batch.present) + options.weight * lost).mean()

    def before_step(self, group: str) -> None:
        """Leave the gradients alone."""

    def _places(self, batch: Batch) -> Tensor:
        assert batch.rows is not None, "training batches say which rows they hold"
        return torch.searchsorted(self.recipe.rows.to(batch.rows.device), batch.rows)

    def _centre(self) -> None:
        """Take the class means of the latents as they are."""
        with torch.no_grad():
            whole = self.latents()
            labels = self.recipe.labels.to(whole.device)
            self.recipe.centres[0].copy_(class_means(whole, labels, self.recipe.classes))

    def logits(self, batch: Batch) -> Logits:
        """As the recipe's, without retuning."""
        return self.recipe.logits(batch, retune=False)
