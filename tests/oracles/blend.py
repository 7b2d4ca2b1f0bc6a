"""A blend of models, one plain object a member, with numpy.linalg."""

import math

import numpy as np

HEARD, NATS, SAVED = 100, 20.0, 0.1


class Member:
    """A line through standardised scores, and how much of the loss it has saved."""

    def __init__(self, model):
        self.model = model
        self.past = []
        self.line = np.array([model.bias, 0.5])
        self.covariance = np.eye(2) * model.doubt
        self.loss, self.base = NATS * (1 - SAVED), NATS

    def is_heard(self, score):
        return (
            not math.isnan(score)
            and len(self.past) >= HEARD
            and np.std(self.past) > 1e-9 * abs(np.mean(self.past))
        )

    def column(self, score):
        z = (score - np.mean(self.past)) / np.std(self.past)
        return np.array([1.0, np.clip(z, -self.model.reach, self.model.reach)])

    def said(self, score):
        return float(self.line @ self.column(score))

    def weight(self):
        return max(1 - self.loss / self.base, 1e-3) ** 2

    def learn(self, score, label, usual):
        said, v = self.said(score), self.column(score)
        p = 1 / (1 + math.exp(-said))
        if label:
            self.loss, self.base = self.loss * self.model.fade, self.base * self.model.fade
        self.loss -= math.log(p if label else 1 - p)
        self.base -= math.log(usual if label else 1 - usual)
        h = max(p * (1 - p), 1e-4)
        after = np.linalg.inv(np.linalg.inv(self.covariance) + h * np.outer(v, v))
        step, sign = after @ v * (label - p), 1 if label else -1
        if said * sign < 0 and (said + step @ v) * sign > 8:
            step *= (8 * sign - said) / (step @ v)
        self.line = self.line + step
        self.line[1] = max(self.line[1], 0.0)
        self.covariance = after

    def remember(self, score):
        if math.isnan(score):
            return
        if self.past and np.std(self.past) > 1e-9 * abs(np.mean(self.past)):
            mean, far = np.mean(self.past), 100 * np.std(self.past)
            score = min(max(score, mean - far), mean + far)
        self.past.append(score)


class NaiveBlend:
    """The parameters are those of a `models.blend.Blend` that forgets nothing."""

    def __init__(self, model, m):
        self.model, self.members = model, [Member(model) for _ in range(m)]
        self.share, self.labels = 1 / (1 + math.exp(-model.bias)), 0

    def score(self, row):
        heard = [
            (member.weight(), member.said(score) - self.model.bias)
            for member, score in zip(self.members, row, strict=True)
            if member.is_heard(score)
        ]
        whole, total = sum(weight for weight, _ in heard), self.model.bias
        for k, (weight, above) in enumerate(heard):
            others = [other for j, (_, other) in enumerate(heard) if j != k]
            if others:
                highest, lowest = max(0, *others), min(0, *others)
                above = max(min(above, highest + self.model.alone), lowest - self.model.alone)
            total += weight * above / whole
        return total

    def learn(self, row, label):
        for member, score in zip(self.members, row, strict=True):
            if member.is_heard(score):
                member.learn(score, label, self.share)
        self.labels += 1
        self.share += (label - self.share) / (self.labels + 1)
        for member, score in zip(self.members, row, strict=True):
            member.remember(score)
