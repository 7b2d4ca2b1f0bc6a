"""What adapters to other libraries share: rows in order, inputs made ready, and state as the bytes of a pickle.

A pickle can name any code, so it is read by an unpickler that knows classes of the one library, and a short list of
plain containers: nothing else is imported, nothing else is called. That is the second lock; the first is that a
snapshot is taken only if the run vouches for it (engine/durable/recovery.py).
"""

import importlib
import inspect
import io
import pickle
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from config.errors import ConfigError, StateError
from models.kernels import prepare as kernels
from models.kernels.exp_log import log
from models.protocol import F8, I1, LEARN, PEEK, SCORE, SKIP, Given, State

SCALES: Final = ("standard", "unit", "none")
REACH: Final = 8.0  # deviations; further out an input counts as if it lay there
MEMORY_ROWS: Final = 1e6  # that mean and deviation look back
CERTAIN: Final = 1e-9  # no estimator is surer than that, whatever it says
PROTOCOL: Final = 4  # of pickle; fixed, so that the same state is the same bytes

_PLAIN: Final = frozenset(
    [
        *(("builtins", name) for name in ("set", "frozenset", "bytearray", "complex", "slice")),
        *(("builtins", name) for name in ("int", "float", "bool", "str", "list", "dict", "tuple")),
        *(("builtins", name) for name in ("range", "object")),
        *(("collections", name) for name in ("OrderedDict", "defaultdict", "deque", "Counter")),
        ("copyreg", "_reconstructor"),
        ("functools", "partial"),
        ("random", "Random"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy._core.numeric", "_frombuffer"),
        ("numpy.random._pickle", "__randomstate_ctor"),
        ("numpy.random._pickle", "__generator_ctor"),
        ("numpy.random._pickle", "__bit_generator_ctor"),
        ("numpy.random._mt19937", "MT19937"),
        ("numpy.random._pcg64", "PCG64"),
        ("numpy.random.bit_generator", "SeedSequence"),
        ("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"),
    ]
)


class Foreign(ABC):
    """An estimator of another library behind our protocol; one row at a time, so that batches stay invisible.

    High = anomalous. Each input goes through a signed logarithm and a running mean and deviation (`scale: standard`),
    after that from +-8 deviations onto 0 to 1 (`unit`), or is passed as it is (`none`). A missing one stands at the
    mean; with `none` it is passed on as missing, and the estimator must know what that is.

    Nothing is known of why the estimator says what it says: `explain` gives zeros (`explains` is False), and the whole
    score stands against the model. A row that makes the estimator fail, or answer with no number, has the score NaN,
    which means missing; `failed` counts them since this process began.
    """

    library: str  # the package, as it is imported
    extra: Final = "adapters"
    explains: Final = False
    bias: Final = 0.0
    supervised: bool
    log_odds: bool

    def __init__(self, n_features: int, scale: str, prior: float) -> None:
        self.scale = scale
        self.prior_score = log(prior / (1.0 - prior))
        self.estimator: Any = None
        self.failed = 0
        self._moments = np.zeros((4, n_features))
        self._row = np.empty(n_features)

    # What a library does

    @abstractmethod
    def _score(self, row: F8) -> float:
        """The raw score of a row that was made ready."""

    @abstractmethod
    def _learn(self, row: F8, label: int) -> None:
        """Learn a row that was made ready; `label` is 0 or 1, -1 for an unsupervised estimator."""

    # What is the same for all

    def process(self, x: F8, action: I1, label: I1, out: F8, parts: F8 | None = None) -> None:
        with np.errstate(all="ignore"):  # what other libraries divide by is theirs
            for i in np.flatnonzero(action != SKIP).tolist():
                what = int(action[i])
                row = self._ready(x[i])
                out[i] = self._scored(row)
                if parts is not None and what != LEARN:
                    parts[i] = 0.0
                if self.supervised:
                    teaches = what == LEARN and 0 <= label[i] <= 1
                    verdict = int(label[i]) if teaches else -1
                else:
                    teaches, verdict = what == SCORE, -1
                if teaches:
                    self._taught(x[i], row, verdict)

    def score(self, x: F8) -> F8:
        out = np.empty(len(x))
        self.process(x, np.full(len(x), PEEK, np.int8), np.empty(0, np.int8), out)
        return out

    def learn(self, x: F8, label: I1) -> None:
        action = np.full(len(x), LEARN if self.supervised else SCORE, np.int8)
        self.process(x, action, label, np.empty(len(x)))

    def explain(self, x: F8) -> F8:
        return np.zeros(len(x))

    def save(self) -> State:
        return {
            "estimator": np.frombuffer(pickled(self.estimator, self.library), np.uint8).copy(),
            "moments": self._moments.copy(),
        }

    def load(self, arrays: Given) -> None:
        expected = {"estimator": (np.uint8, 1), "moments": (np.float64, 2)}
        fits = arrays.keys() == expected.keys() and all(
            arrays[name].dtype == dtype and arrays[name].ndim == ndim
            for name, (dtype, ndim) in expected.items()
        )
        if not fits or arrays["moments"].shape != self._moments.shape:
            raise StateError(
                f"saved state does not fit a model of {self.library}",
                why="it was saved by another kind of model, or with other inputs",
                fix="load with the configuration that saved it, or replay from the beginning",
            )
        estimator = unpickled(arrays["estimator"].tobytes(), self.library)
        if type(estimator) is not type(self.estimator):
            raise StateError(
                f"saved state is of {type(estimator).__name__}, "
                f"the configuration names {type(self.estimator).__name__}",
                fix="load with the configuration that saved it, or replay from the beginning",
            )
        self.estimator = estimator
        self._moments = arrays["moments"].copy()

    def _ready(self, x: F8) -> F8:
        """A row as the estimator gets it; valid until the next one."""
        if self.scale == "none":
            self._row[:] = x
            return self._row
        kernels.prepare(np.ascontiguousarray(x), self._moments, REACH, self._row)
        if self.scale == "unit":
            self._row *= 0.5 / REACH
            self._row += 0.5
        return self._row

    def _scored(self, row: F8) -> float:
        try:
            score = self._score(row)
        except Exception:  # noqa: BLE001  whatever foreign code raises, the stream goes on
            score = np.nan
        if not np.isfinite(score):
            self.failed += 1
            return float(np.nan)
        return score

    def _taught(self, x: F8, row: F8, label: int) -> None:
        try:
            self._learn(row, label)
        except Exception:  # noqa: BLE001
            self.failed += 1
        if self.scale != "none":
            kernels.take_in(np.ascontiguousarray(x), MEMORY_ROWS, self._moments)


def as_log_odds(p: float) -> float:
    """The log odds of a probability, within what `CERTAIN` allows."""
    if np.isnan(p):
        return float(np.nan)
    p = min(max(p, CERTAIN), 1.0 - CERTAIN)
    return float(log(p / (1.0 - p)))


def library(name: str, kind: str, where: str) -> Any:
    """Import a library; a `ConfigError` if the extra is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ConfigError(
            f"`kind: {kind}` needs a package that is not installed",
            where,
            why="other libraries come with the extra `adapters`, because the engine itself needs none of them",
            fix="pip install 'weir-fraud[adapters]', or name a kind of our own",
        ) from None


def find(kind: str, package: str, path: str, base: type | tuple[type, ...], where: str) -> type:
    """Return the class `path` of `package`, such as linear_model.LogisticRegression; nothing else is imported."""
    module_name, _, name = path.rpartition(".")
    words = path.split(".")
    wrong = ConfigError(
        f"`class` of `kind: {kind}` must name an estimator of {package}, was `{path}`",
        where,
        why=f"a configuration may name classes inside {package}, and no other code",
        fix="write it as in its documentation, such as linear_model.LogisticRegression",
    )
    if not module_name or not all(w.isidentifier() and not w.startswith("_") for w in words):
        raise wrong
    try:
        module = importlib.import_module(f"{package}.{module_name}")
    except ImportError:
        raise wrong from None
    found = getattr(module, name, None)
    if not isinstance(found, type) or not issubclass(found, base) or not _is_of(found, package):
        raise wrong
    return found


def seeded(class_: type, name: str, params: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The parameters, with the seed of the configuration where the estimator draws and they name none."""
    known = inspect.signature(class_).parameters
    return {**({name: seed} if name in known else {}), **params}


def made(kind: str, class_: type, params: Mapping[str, Any], where: str) -> Any:
    """An estimator with these parameters; a `ConfigError` with what its constructor says."""
    try:
        return class_(**params)
    except Exception as error:  # noqa: BLE001  constructors of other libraries raise what they like
        raise unfit(kind, class_, error, where) from None


def unfit(kind: str, class_: type, error: Exception, where: str) -> ConfigError:
    return ConfigError(
        f"{class_.__name__} of `kind: {kind}` cannot be used with these `params`: {error}",
        where,
        why="it was tried with two rows as the configuration was read, so that it does not fail on the first payment",
        fix="look up its parameters in its documentation",
    )


def unusable(kind: str, class_: type, reason: str, where: str) -> ConfigError:
    return ConfigError(
        f"{class_.__name__} cannot be a model of `kind: {kind}`: {reason}",
        where,
        why="a model gives each row a score that is high where it is suspicious",
        fix="name a classifier, or a detector of anomalies",
    )


def pickled(estimator: Any, package: str) -> bytes:
    """The bytes of an estimator, the same for equal state whatever its past.

    A pickle also says which of its texts are one object; reading it back and writing it again twice lets that settle.
    """
    data = pickle.dumps(estimator, PROTOCOL)
    for _ in range(2):
        data = pickle.dumps(unpickled(data, package), PROTOCOL)
    return data


def unpickled(data: bytes, package: str) -> Any:
    """What `pickled` wrote; `StateError` if it is broken, or names anything but classes of `package`."""
    try:
        return _Careful(io.BytesIO(data), package).load()
    except StateError:
        raise
    except Exception as error:  # noqa: BLE001  a broken pickle raises nearly anything
        raise StateError(
            f"the saved estimator of {package} cannot be read: {error}",
            why="pickles are read by the version that wrote them, if at all",
            fix=f"go on with the {package} that wrote it, or replay from the beginning",
        ) from None


class _Careful(pickle.Unpickler):
    """Reads estimators of one package: its classes, plain containers and arrays, and nothing else."""

    def __init__(self, file: io.BytesIO, package: str) -> None:
        super().__init__(file)
        self._package = package

    def find_class(self, module: str, name: str) -> Any:
        """Refuse whatever is neither of the package nor on the list."""
        if (module, name) in _PLAIN:
            return super().find_class(module, name)
        if module.split(".", maxsplit=1)[0] == self._package:
            owner = super().find_class(module, name.split(".", maxsplit=1)[0])
            is_class = isinstance(owner, type) and _is_of(owner, self._package)
            if is_class and "." not in name:
                return owner
            if is_class and hasattr(owner, "_get_params"):  # a factory of river's estimators
                return super().find_class(module, name)
            if name.startswith("__pyx_unpickle_"):
                return owner
        raise StateError(
            f"the saved estimator names {module}.{name}",
            why=f"only classes of {self._package} are read back: a pickle that names other code could run it",
            fix="if nobody has touched the file, this estimator cannot be saved; choose another",
        )


def _is_of(class_: type, package: str) -> bool:
    return class_.__module__.split(".")[0] == package
