"""The online logistic model in information form, with numpy.linalg; means and deviations from all values, again."""

import numpy as np

from tests.oracles.chance import chance


class NaiveLogistic:
    """Fahrmeir's filter; the parameters are those of a `models.logistic.Logistic`."""

    def __init__(self, model, f):
        self.f, self.model = f, model
        self.crossed = min(model.crossed, f)
        self.absent = []
        self.values = [[] for _ in range(2 * f)]  # of each column, pulled in to 100 deviations
        self.dense = (1, 2, 6)[model.bends] * f + self.crossed * (self.crossed - 1) // 2 + 1
        self.weight = np.zeros(self.dense + f)
        self.weight[self.dense - 1] = model.bias
        self.covariance = np.eye(self.dense + f) * model.doubt
        self.labels = 0

    def raw_columns(self, row):
        return [*row, *(np.sign(a) * np.log1p(np.abs(a)) for a in row)]

    def columns(self, row):
        z = np.zeros(2 * self.f)
        for at, (value, past) in enumerate(zip(self.raw_columns(row), self.values, strict=True)):
            if not np.isnan(value) and past and np.std(past) > 1e-9 * abs(np.mean(past)):
                z[at] = np.clip(
                    (value - np.mean(past)) / np.std(past), -self.model.reach, self.model.reach
                )
        plain, log = z[: self.f], z[self.f :]
        hinges = [np.maximum(plain - 1, 0), np.maximum(plain - 4, 0)]
        hinges += [np.maximum(log, 0), np.maximum(log - 1, 0)]
        near = np.clip(log, -3, 3)
        products = [0.1 * near[a] * near[b] for a in range(self.crossed) for b in range(a)]
        gap = np.isnan(row) - (np.mean(self.absent, axis=0) if self.absent else 0.0)
        bent = [[plain], [z], [z, *hinges]][self.model.bends]
        return np.concatenate([*bent, products, [1.0], gap])

    def score(self, row):
        return float(self.weight @ self.columns(row))

    def learn(self, row, label):
        v = self.columns(row)
        p = 1 / (1 + np.exp(-self.weight @ v))
        drawn = 1.0 if label else min(1.0, self.model.genuine_share * (1 + 100 * p))
        if chance(1, self.labels) < drawn:
            h = max(p * (1 - p), 1e-4) * self.model.stiffness / drawn
            after = np.linalg.inv(np.linalg.inv(self.covariance) + h * np.outer(v, v))
            step, before = after @ v * (label - p) / drawn, self.weight @ v
            sign = 1 if label else -1
            if before * sign < 0 and (before + step @ v) * sign > 8:
                step *= (8 * sign - before) / (step @ v)  # no further than that on the other side
            self.weight = self.weight + step
            # the weights of missing inputs are kept apart from each other and from the rest
            rest = np.diag(after.diagonal())
            rest[: self.dense, : self.dense] = after[: self.dense, : self.dense]
            self.covariance = rest
        self.remember(row)
        self.labels += 1

    def remember(self, row):
        self.absent.append(np.isnan(row))
        for value, past in zip(self.raw_columns(row), self.values, strict=True):
            if not np.isnan(value):
                if past and np.std(past) > 1e-9 * abs(np.mean(past)):
                    mean, far = np.mean(past), 100 * np.std(past)
                    value = min(max(value, mean - far), mean + far)
                past.append(value)
