"""The two kinds of functional that can be evaluated: a neural graph and one of libxc's.

Both offer the same few members, so that `functional` can add them with weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from xcnet import density, engine, libxc, variables
from xcnet.density import Array
from xcnet.errors import EngineError, InputError
from xcnet.operators import Descriptor
from xcnet.registry import Entry
from xcnet.sample import NO_DESCRIPTORS
from xcnet.spec import (
    ADJOINT,
    BACKWARD,
    CHANNELS,
    ENERGY,
    FORWARD,
    HIDDEN,
    HIDDEN_SLOPES,
    FunctionalSpec,
)

#: Outputs by label, and the points without density.
_Values = tuple[dict[str, Array], NDArray[np.bool_]]

#: What parts write into an array of the chunk.
_FILLED = {FORWARD: HIDDEN, ENERGY: HIDDEN_SLOPES}


class _Graph(NamedTuple):
    """A graph of a functional; with a part, the one that hands hidden values over in its place."""

    order: int
    of_channels: bool = False
    part: str = ""


class TermFunctional(Protocol):
    """A functional of one spin that fills chunks of points."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Density variables it needs, in libxc's order."""

    @property
    def flags(self) -> int:
        """libxc's flag bits."""

    @property
    def descriptors(self) -> Mapping[str, Descriptor]:
        """Nonlocal descriptors that it reads, by label."""

    @property
    def has_channels(self) -> bool:
        """Whether a graph of its own makes what its grid operator acts on."""

    @property
    def hidden_width(self) -> int:
        """Hidden values at a point that the first stage can hand over; 0 for none."""

    def first_stage(self, chunk: Mapping[str, Array], order: int) -> dict[str, Array]:
        """Channels (P, c), and with orders the derivatives of adjoint . channels.

        `FunctionalSpec.signature` of channels; ``adjoint`` (P, c) is in the chunk for orders. With
        ``hidden`` and its slopes ``vhidden`` (P, h) in the chunk, the derivatives of adjoint .
        channels + vhidden . hidden.
        """

    def hand_over(self, chunk: Mapping[str, Array]) -> dict[str, Array]:
        """Channels (P, c); the hidden values that they are made of go into ``hidden`` (P, h)."""

    def evaluate(self, chunk: Mapping[str, Array], labels: Collection[str]) -> dict[str, Array]:
        """Outputs (N, width) of those labels that this functional has; zk is per particle.

        With ``hidden`` in the chunk, derivatives at fixed hidden values; those by hidden values
        go into the chunk's ``vhidden`` (N, h).
        """

    def set_threshold(self, variable: str, value: float) -> None:
        """Set the floor of ``density``, ``zeta``, ``sigma`` (of the norm) or ``tau``."""

    def set_fhc_enforcement(self, on: bool) -> None:
        """Clamp sigma_ss <= 8 rho_s tau_s, or not."""


def open_term(entry: Entry, spin: int) -> NeuralTerm | LibxcTerm:
    """Functional of a registry entry that is not composite."""
    if entry.spec is not None:
        return NeuralTerm(entry.spec, spin)
    return LibxcTerm(entry.id, spin)


class NeuralTerm:
    """A functional folder's graphs behind libxc's thresholds and spin folding."""

    def __init__(self, spec: FunctionalSpec, spin: int) -> None:
        self.spec = spec
        self._spin = spin
        self._thresholds = spec.thresholds
        self._enforce_fhc = spec.enforce_fhc

    @property
    def variables(self) -> tuple[str, ...]:
        """Density variables and descriptors of the graphs."""
        return self.spec.variables

    @property
    def descriptors(self) -> Mapping[str, Descriptor]:
        """Nonlocal descriptors of the graphs, by label."""
        return self.spec.descriptors

    @property
    def has_channels(self) -> bool:
        """Whether a graph of its own makes what its grid operator acts on."""
        return self.spec.channels is not None

    @property
    def hidden_width(self) -> int:
        """Hidden values at a point that the first stage can hand over; 0 for none."""
        hidden = self.spec.hidden
        both = self._has_closed_shell(True) and self._has_closed_shell(False)
        if hidden is None or (self._spin == variables.UNPOLARIZED and not both):
            return 0
        return hidden.widths.get(self._spin, 0)

    @property
    def flags(self) -> int:
        """libxc's flag bits, as far as they apply."""
        spec = self.spec
        bits = sum(variables.FLAG_HAVE[: spec.highest_order + 1]) | variables.FLAG_3D
        if spec.exact_exchange.beta:
            bits |= variables.FLAG_HYB_CAM
        if "lapl" in spec.inputs:
            bits |= variables.FLAG_NEEDS_LAPLACIAN
        if "tau" in spec.inputs:
            bits |= variables.FLAG_NEEDS_TAU
        if self._enforce_fhc:
            bits |= variables.FLAG_ENFORCE_FHC
        return bits

    def evaluate(self, chunk: Mapping[str, Array], labels: Collection[str]) -> dict[str, Array]:
        """See `TermFunctional.evaluate`.

        Raises
        ------
        EngineError
            The graph cannot be run, or gives NaN or infinity at a point.
        """
        orders = variables.orders(self.spec.variables)
        order = max(orders[label] for label in labels if label in orders)
        part = ENERGY if HIDDEN in chunk else ""
        values, empty = self._values(chunk, _Graph(order, part=part))
        any_empty = bool(empty.any())
        result = {}
        # Whatever is not finite in the slopes of hidden values shows in what they are pulled into.
        for label in values.keys() & set(labels):
            value = values[label]
            if any_empty:
                value[empty] = 0.0
            self._check_finite(label, value, chunk)
            result[label] = value
        return result

    def first_stage(self, chunk: Mapping[str, Array], order: int) -> dict[str, Array]:
        """See `TermFunctional.first_stage`; channels have no threshold, their derivatives do.

        Raises
        ------
        EngineError
            The graph cannot be run, or gives NaN or infinity at a point.
        """
        graph = _Graph(order, True, BACKWARD if HIDDEN in chunk else "")
        values, empty = self._values(chunk, graph)
        for label, value in values.items():
            if label != CHANNELS:
                value[empty] = 0.0
            self._check_finite(label, value, chunk)
        return values

    def hand_over(self, chunk: Mapping[str, Array]) -> dict[str, Array]:
        """See `TermFunctional.hand_over`.

        Raises
        ------
        EngineError
            The graph cannot be run, or gives NaN or infinity at a point.
        """
        values, _ = self._values(chunk, _Graph(0, True, FORWARD))
        self._check_finite(CHANNELS, values[CHANNELS], chunk)
        return {CHANNELS: values[CHANNELS]}

    def _values(self, chunk: Mapping[str, Array], graph: _Graph) -> _Values:
        """All outputs of a stage, and where there is no density."""
        if self._spin == variables.POLARIZED:
            return self._spin_resolved(chunk, graph)
        return self._closed_shell(chunk, graph)

    def _run(self, graph: _Graph, inputs: Mapping[str, Array], spin: int) -> dict[str, Array]:
        if graph.part:
            name = _FILLED.get(graph.part)
            places = {name: inputs[name]} if name else {}
            return engine.run_part(self.spec, graph.part, inputs, spin, places)
        return engine.run(self.spec, graph.order, inputs, spin, graph.of_channels)

    def _spin_resolved(self, chunk: Mapping[str, Array], graph: _Graph) -> _Values:
        """The outputs for two spins."""
        inputs, empty, absent = density.clamp(chunk, self._thresholds, self._enforce_fhc)
        values = self._run(graph, inputs, variables.POLARIZED)
        if self.spec.kind == "exchange" and not graph.of_channels and absent.any():
            for label, value in values.items():
                _silence(label, value, absent)
        return values, empty

    def _has_closed_shell(self, of_channels: bool) -> bool:
        which = "exc", variables.UNPOLARIZED, of_channels
        # A floor of 1 - |zeta| that is no smaller lies above that of a closed shell.
        return which in self.spec.all_graphs and self._thresholds.zeta < 1.0

    def _closed_shell(self, chunk: Mapping[str, Array], graph: _Graph) -> _Values:
        """The same of closed shells, by the graphs for them wherever no floor is touched."""
        if not self._has_closed_shell(graph.of_channels):
            return self._folded(chunk, graph)
        limits = self._thresholds, self._enforce_fhc
        inputs, empty, floored = density.clamp_closed_shell(chunk, *limits)
        values = self._run(graph, inputs, variables.UNPOLARIZED)
        # The graphs rely on the record's own floor, which the caller may have lowered.
        floored |= chunk["rho"][:, 0] <= 2.0 * self.spec.thresholds.density
        floored &= ~empty
        if floored.any():
            # Nothing is handed over between these: their hidden values have two spins.
            own = {n: x[floored] for n, x in chunk.items() if n not in (HIDDEN, HIDDEN_SLOPES)}
            rows, _ = self._folded(own, graph._replace(part=""))
            for label, value in values.items():
                value[floored] = rows.get(label, 0.0)
        return values, empty

    def _folded(self, chunk: Mapping[str, Array], graph: _Graph) -> _Values:
        spins = density.spin_resolved({n: x for n, x in chunk.items() if n != ADJOINT})
        adjoint = {n: x for n, x in chunk.items() if n == ADJOINT}
        values, empty = self._spin_resolved({**spins, **adjoint}, graph)
        return {label: _fold(label, value) for label, value in values.items()}, empty

    def _check_finite(self, label: str, value: Array, chunk: Mapping[str, Array]) -> None:
        if not density.all_finite(value):
            raise self._not_finite(label, value, chunk)

    def _not_finite(self, label: str, value: Array, chunk: Mapping[str, Array]) -> EngineError:
        bad = int(np.argmin(np.isfinite(value).all(axis=1)))
        point = {name: array[bad].tolist() for name, array in chunk.items()}
        return EngineError(
            f"{self.spec.name}: {label} is not finite at the point {point}: the functional "
            "cannot be used for this density; report it to its author",
            functional=self.spec.name,
            label=label,
            point=point,
        )

    def set_threshold(self, variable: str, value: float) -> None:
        """Set one floor; 0 leaves it as it is, as in libxc."""
        if not value >= 0.0:
            raise InputError(
                f"{self.spec.name}: the {variable} threshold must be 0 or more, not {value}",
                functional=self.spec.name,
                argument=f"{variable} threshold",
                given=value,
            )
        if value > 0.0:
            self._thresholds = dataclasses.replace(self._thresholds, **{variable: value})

    def set_fhc_enforcement(self, on: bool) -> None:
        """Clamp sigma_ss <= 8 rho_s tau_s, or not."""
        self._enforce_fhc = on


def _silence(label: str, value: Array, absent: NDArray[np.bool_]) -> None:
    """Zero the derivatives of exchange by the variables of a spin channel that is not there.

    Exchange is a sum over channels, and an absent one has none; the powers of its density in the
    derivatives would be huge. Correlation keeps the derivatives of the floor, as in libxc; what
    holds both has to screen its exchange itself.
    """
    for spin in (0, 1):
        for column in variables.channel_columns(label, spin):
            value[:, column][absent[:, spin]] = 0.0


def _fold(label: str, value: Array) -> Array:
    """`density.fold`, also for the outputs of channels."""
    if label == CHANNELS:
        return value
    if not label.endswith(ADJOINT):
        return density.fold(label, value)
    single = f"v{label.removesuffix(ADJOINT).removeprefix('v2')}"
    jacobian = value.reshape(len(value), variables.width(single, variables.POLARIZED), -1)
    return np.asarray(np.einsum("uk,nkc->nuc", variables.fold_weights(single), jacobian)).reshape(
        len(value), -1
    )


class LibxcTerm:
    """One of libxc's functionals."""

    def __init__(self, number: int, spin: int) -> None:
        self.libxc = libxc.Functional(number, spin)
        self._spin = spin

    @property
    def variables(self) -> tuple[str, ...]:
        """Density variables that libxc reads."""
        return self.libxc.family_variables

    @property
    def descriptors(self) -> Mapping[str, Descriptor]:
        """Libxc has none."""
        return NO_DESCRIPTORS

    @property
    def has_channels(self) -> bool:
        """Libxc has none."""
        return False

    def first_stage(self, chunk: Mapping[str, Array], order: int) -> dict[str, Array]:
        """Libxc has none."""
        raise NotImplementedError

    @property
    def hidden_width(self) -> int:
        """Libxc has none."""
        return 0

    def hand_over(self, chunk: Mapping[str, Array]) -> dict[str, Array]:
        """Libxc has none."""
        raise NotImplementedError

    @property
    def flags(self) -> int:
        """libxc's flag bits."""
        return self.libxc.flags

    def evaluate(self, chunk: Mapping[str, Array], labels: Collection[str]) -> dict[str, Array]:
        """See `TermFunctional.evaluate`."""
        points = len(chunk["rho"])
        own = {name for order in range(5) for name in variables.labels(self.variables, order)}
        outputs = {
            label: np.zeros((points, variables.width(label, self._spin)))
            for label in labels
            if label in own
        }
        inputs = {name: np.ascontiguousarray(chunk[name]) for name in self.variables}
        self.libxc.evaluate(inputs, outputs)
        return outputs

    def set_threshold(self, variable: str, value: float) -> None:
        """Set one floor; 0 leaves it as it is."""
        setters = {
            "density": self.libxc.set_dens_threshold,
            "zeta": self.libxc.set_zeta_threshold,
            "sigma": self.libxc.set_sigma_threshold,
            "tau": self.libxc.set_tau_threshold,
        }
        setters[variable](value)

    def set_fhc_enforcement(self, on: bool) -> None:
        """Clamp sigma_ss <= 8 rho_s tau_s, or not (libxc 7)."""
        self.libxc.set_fhc_enforcement(on)
