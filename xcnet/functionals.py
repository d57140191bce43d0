"""Functionals with libxc's interface: neural ones, libxc's own, and mixtures of both.

`LibXCFunctional` keeps the contract of pylibxc, so that a program written for it runs unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from xcnet import arguments, density, engine, expression, threads, variables
from xcnet.density import Array
from xcnet.errors import (
    ArgumentTypeError,
    DerivativeError,
    InputError,
    MissingInputError,
    SpinError,
)
from xcnet.facts import SPINS, Facts
from xcnet.grid import Grid, evaluate
from xcnet.spec import FunctionalSpec


def functional(name: str | int, spin: str | int = "unpolarized") -> LibXCFunctional:
    """Functional of a name, alias, id or expression such as ``"0.75*NN-metaGGA + 0.25*HF"``.

    Parameters
    ----------
    name : str or int
        See ``xcnet list``.
    spin : {"unpolarized", "polarized", 1, 2}
        Whether the density arrays hold one or two spins.

    Raises
    ------
    UnknownFunctionalError, ExpressionError, SpinError, ModelError
    """
    return LibXCFunctional(name, spin)


class LibXCFunctional(Facts):
    """A functional with pylibxc's interface.

    Parameters
    ----------
    func_name : str, int or FunctionalSpec
        Name (any case, ``XC_`` optional), alias, id, or expression; or the functional of a folder
        that need not be registered.
    spin : {"unpolarized", "polarized", 1, 2}
        Spin treatment of all arrays.
    """

    def __init__(self, func_name: str | int | FunctionalSpec, spin: str | int) -> None:
        name, number = self._arguments = (_checked_name(func_name), _spin_number(spin))
        self._settings: list[tuple[str, Any]] = []
        parsed = expression.of(name) if isinstance(name, FunctionalSpec) else None
        super().__init__(parsed or expression.parse(str(name)), number)

    def __repr__(self) -> str:
        spin = "polarized" if self._spin == variables.POLARIZED else "unpolarized"
        name = f"{self._xc_func_name}, {spin}"
        return f"<xcnet.LibXCFunctional ({name}) object at {hex(id(self))}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self._arguments, self._settings)

    # -- external parameters and thresholds ----------------------------------------------------

    def get_ext_param_names(self) -> list[str]:
        """Names of libxc's external parameters; neural functionals and mixtures have none."""
        return list(self._libxc.ext_param_names) if self._libxc else []

    def get_ext_param_descriptions(self) -> list[str]:
        """Descriptions of the external parameters."""
        return list(self._libxc.ext_param_descriptions) if self._libxc else []

    def get_ext_param_default_values(self) -> list[float]:
        """Default values of the external parameters."""
        return list(self._libxc.ext_param_defaults) if self._libxc else []

    def set_ext_params(self, ext_params: Sequence[float]) -> None:
        """Set all external parameters of one of libxc's functionals."""
        if self._libxc is None:
            raise self._wrong_kind("has no external parameters")
        self._libxc.set_ext_params(ext_params)
        self._settings.append(("set_ext_params", [float(x) for x in ext_params]))

    def set_dens_threshold(self, dens_threshold: float) -> None:
        """Set the total density (bohr^-3) below which every output is exactly zero."""
        self._set_threshold("density", "set_dens_threshold", dens_threshold)

    def set_zeta_threshold(self, zeta_threshold: float) -> None:
        """Set the floor of 1 - abs(zeta)."""
        self._set_threshold("zeta", "set_zeta_threshold", zeta_threshold)

    def set_sigma_threshold(self, sigma_threshold: float) -> None:
        """Set the floor of the gradient's norm (bohr^-4)."""
        self._set_threshold("sigma", "set_sigma_threshold", sigma_threshold)

    def set_tau_threshold(self, tau_threshold: float) -> None:
        """Set the floor of the kinetic energy density (Hartree bohr^-3)."""
        self._set_threshold("tau", "set_tau_threshold", tau_threshold)

    def _set_threshold(self, variable: str, method: str, value: float) -> None:
        for _, term in self._terms:
            term.set_threshold(variable, value)
        self._settings.append((method, value))

    def set_fhc_enforcement(self, enforce_fhc: bool) -> None:
        """Clamp sigma_ss <= 8 rho_s tau_s (Fermi hole curvature), or not."""
        for _, term in self._terms:
            term.set_fhc_enforcement(enforce_fhc)
        self._settings.append(("set_fhc_enforcement", enforce_fhc))

    # -- evaluation ----------------------------------------------------------------------------

    def compute(
        self,
        inp: Mapping[str, Any] | npt.ArrayLike | None = None,
        output: Any = None,
        do_exc: Any = True,
        do_vxc: Any = True,
        do_fxc: bool = False,
        do_kxc: bool = False,
        do_lxc: bool = False,
        *,
        rho: npt.ArrayLike | None = None,
        sigma: npt.ArrayLike | None = None,
        lapl: npt.ArrayLike | None = None,
        tau: npt.ArrayLike | None = None,
        coords: npt.ArrayLike | None = None,
        weights: npt.ArrayLike | None = None,
        grid: Any = None,
    ) -> dict[str, Array]:
        """Evaluate the functional.

        Called as pylibxc's ``compute(inp, output, do_exc, ...)``, as ``compute(rho, sigma, tau)``,
        ``compute(rho, sigma, lapl, tau)`` or ``compute(rho=..., sigma=..., do_fxc=...)``. A
        nonlocal functional also needs the whole grid: ``compute(..., coords=..., weights=...)``.

        Parameters
        ----------
        inp : mapping or array
            ``rho``, ``sigma``, ``lapl``, ``tau`` (those the family needs), or rho alone. Any
            shape; N points of 1 (unpolarized) or 2, 3, 2, 2 (polarized) components, point-major,
            sigma in order (aa, ab, bb), ``tau = 1/2 sum |grad phi|^2``; Hartree atomic units.
            A mapping may hold the descriptors of a nonlocal functional by label, (N, k): then it
            gives its pointwise partial derivatives, also with respect to them.
        output : mapping, optional
            float64 arrays to fill in place, by label. After an array: sigma.
        do_exc, do_vxc, do_fxc, do_kxc, do_lxc : bool
            Derivative orders wanted. Arrays in the place of the first are tau, in the places of
            the first two lapl and tau.
        rho, sigma, lapl, tau : array, optional
            The variables by name.
        coords, weights : (N, 3) and (N,) array, optional
            All points of the grid (bohr) and their weights (bohr^3), in the density's order:
            ``vrho`` of a nonlocal functional is then the effective potential, whose sum with
            w_i dn_i is the exact change of sum_i w_i n_i zk_i. Local functionals ignore them.
        grid : xcnet.grid.Grid, optional
            The same, prepared once for many calls and with what other definitions of a
            descriptor need.

        Returns
        -------
        dict
            Label -> (N, width) float64: ``zk`` the energy per particle, others the derivatives
            of n*zk, components in libxc's order. Where the total density is below the threshold
            every value is exactly zero.

        Raises
        ------
        MissingInputError, InputError, ArgumentTypeError
            A label is missing or given twice, of the wrong size or order (spins first, as in
            PySCF, where the shape tells), or NaN.
        DerivativeError
            The functional lacks an order.
        """
        named = {"rho": rho, "sigma": sigma, "lapl": lapl, "tau": tau}
        arrays, output, do_exc, do_vxc = arguments.read(inp, output, do_exc, do_vxc, named)
        flags = [bool(f) for f in (do_exc, do_vxc, do_fxc, do_kxc, do_lxc)]
        self._check_orders(flags)
        whole = self._whole_grid(arrays, coords, weights, grid)
        computed = tuple(self.descriptors) if whole is not None else ()
        names = [n for n in self._inputs if n not in computed]
        inputs = density.read_inputs(arrays, names, self._spin, self._xc_func_name)
        points = len(inputs["rho"])

        own = tuple(n for n in self._label_variables if n not in computed)
        labels = tuple(variables.requested_labels(own, flags))
        self._check_overlap(output, labels, inputs)
        result = {label: self._buffer(output, label, points) for label in labels}
        widths = {label: variables.width(label, self._spin) for label in labels}
        views = {label: array.reshape(points, widths[label]) for label, array in result.items()}
        if points and labels:
            if whole is None:
                size = engine.chunk(flags, self._spin)
                threads.for_each_chunk(points, size, lambda p: self._add(inputs, views, p))
            else:
                self._check_whole_grid(whole, points, flags)
                evaluation = evaluate(whole, self._terms, inputs, int(do_vxc))
                values = {"zk": evaluation.zk} | {f"v{n}": v for n, v in evaluation.slopes.items()}
                for label, array in views.items():
                    array[...] = values[label]
        return result

    def _add(self, inputs: Mapping[str, Array], views: Mapping[str, Array], part: slice) -> None:
        """Add all terms of one chunk of points to the outputs."""
        chunk = {name: array[part] for name, array in inputs.items()}
        for weight, term in self._terms:
            for label, value in term.evaluate(chunk, views.keys()).items():
                views[label][part] += value if weight == 1.0 else weight * value

    def _check_orders(self, flags: Sequence[bool]) -> None:
        for order, wanted in zip(variables.ORDERS, flags, strict=True):
            if wanted and order not in self.orders:
                have = list(self.orders)
                raise DerivativeError(
                    f"{self._xc_func_name} does not have {order}; it has {', '.join(have)}",
                    functional=self._xc_func_name,
                    expected=have,
                    given=order,
                )

    def _whole_grid(
        self, values: Mapping[str, Any], coords: Any, weights: Any, grid: Any
    ) -> Grid | None:
        """The grid that the descriptors are computed on; None if there are none to compute."""
        missing = [label for label in self.descriptors if values.get(label) is None]
        if not missing:
            return None
        if isinstance(grid, Grid):
            return grid
        if grid is not None:
            raise ArgumentTypeError(
                f"{self._xc_func_name}: grid must be an xcnet.grid.Grid, not {type(grid).__name__}",
                functional=self._xc_func_name,
                argument="grid",
            )
        if coords is None or weights is None:
            raise MissingInputError(
                f"{self._xc_func_name} is nonlocal: its descriptor {missing[0]!r} at a point is "
                "an integral of the density over the whole grid. Give coords=(N, 3) in bohr and "
                f"weights=(N,) of all points together; or, with {missing[0]!r} in the input, get "
                "the pointwise partial derivatives.",
                functional=self._xc_func_name,
                argument="coords" if coords is None else "weights",
            )
        return Grid(coords, weights)

    def _check_whole_grid(self, grid: Grid, points: int, flags: Sequence[bool]) -> None:
        grid.check_size(points, self._xc_func_name)
        if any(flags[2:]):
            raise DerivativeError(
                f"{self._xc_func_name} is nonlocal: its second derivatives couple all points of "
                "the grid and are no array of values per point. Give "
                f"{', '.join(map(repr, self.descriptors))} in the input to get the pointwise ones.",
                functional=self._xc_func_name,
                expected=["exc", "vxc"],
            )

    def _check_overlap(
        self,
        output: MutableMapping[str, Any] | None,
        labels: Sequence[str],
        inputs: Mapping[str, Array],
    ) -> None:
        """Refuse output arrays that lie over an input or over each other, before any is written."""
        taken = dict(inputs)
        for label in labels if output else ():
            array = output.get(label) if output else None
            if not isinstance(array, np.ndarray):
                continue
            for name, other in taken.items():
                if np.may_share_memory(array, other):
                    raise InputError(
                        f"{self._xc_func_name}: the output array {label!r} shares memory with "
                        f"{name!r}: give it an array of its own",
                        functional=self._xc_func_name,
                        argument=label,
                    )
            taken[label] = array

    def _buffer(self, output: MutableMapping[str, Any] | None, label: str, points: int) -> Array:
        """Zeroed output array: the caller's own if there is one."""
        width = variables.width(label, self._spin)
        array = None if output is None else output.get(label)
        if array is None:
            return np.zeros((points, width))
        problem = _buffer_problem(array, points * width)
        if problem:
            raise InputError(
                f"{self._xc_func_name}: the output array {label!r} {problem}",
                functional=self._xc_func_name,
                argument=label,
                expected=points * width,
            )
        result: Array = array
        result[...] = 0.0
        return result


def _restore(
    cls: type[LibXCFunctional], arguments: tuple[Any, Any], settings: list[tuple[str, Any]]
) -> LibXCFunctional:
    restored = cls(*arguments)
    for method, value in settings:
        getattr(restored, method)(value)
    return restored


def _checked_name(func_name: Any) -> str | int | FunctionalSpec:
    if isinstance(func_name, (str, FunctionalSpec)):
        return func_name
    if isinstance(func_name, (int, np.integer)) and not isinstance(func_name, bool):
        return int(func_name)
    raise ArgumentTypeError(
        f"a functional is named by a string or an id, not by {type(func_name).__name__}",
        argument="func_name",
        given=func_name,
    )


def _spin_number(spin: Any) -> int:
    number = SPINS.get(spin.lower()) if isinstance(spin, str) else spin
    if number not in (variables.UNPOLARIZED, variables.POLARIZED):
        raise SpinError(
            f"spin must be 'unpolarized', 'polarized', 1 or 2, not {spin!r}",
            argument="spin",
            given=spin,
        )
    return int(number)


def _buffer_problem(array: Any, size: int) -> str | None:
    if not isinstance(array, np.ndarray) or array.dtype != np.float64:
        return "is not a numpy array of float64"
    if array.size != size:
        return f"has {array.size} elements, expected {size}"
    if not (array.flags.c_contiguous and array.flags.writeable):
        return "is not a writeable C-contiguous array"
    return None
