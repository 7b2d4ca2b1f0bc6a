"""Detectors of anomalies in plain Python, one row after the other, to hold the kernels against."""

import math


class NaiveTrees:
    """Half-space trees: score and learn apart, one tree after the other, running moments as in a textbook."""

    def __init__(self, model, n_features):
        plan = model.save()
        self.plan = list(zip(plan["feature"].tolist(), plan["split"].tolist(), strict=True))
        self.depth, self.window, self.fade = model.depth, model.window, model.fade
        self.reach, self.memory, self.scale = model.reach, model.memory_rows, model.scale
        self.mass = [{} for _ in self.plan]  # by node, all levels
        self.count = [{} for _ in self.plan]  # by leaf
        self.rows = self.full = 0
        self.moments = [(0, 0.0, 0.0)] * (2 * n_features)

    def both(self, row):
        return [*row, *(math.copysign(math.log1p(abs(value)), value) for value in row)]

    def place(self, row):
        box = []
        for value, (_, mean, variance) in zip(self.both(row), self.moments, strict=True):
            has_spread = variance > 1e-18 * mean * mean
            z = (value - mean) / math.sqrt(variance) if has_spread and value == value else 0.0
            box.append(0.5 + 0.5 * max(-1.0, min(1.0, z / self.reach)))
        return box

    def path(self, tree, box):
        feature, split = self.plan[tree]
        k = 0
        for d in range(self.depth + 1):
            yield d, k
            if d < self.depth:
                k = 2 * k + (2 if box[feature[k]] >= split[k] else 1)

    def score(self, row):
        box, total = self.place(row), 0
        for tree, mass in enumerate(self.mass):
            for d, k in self.path(tree, box):
                total += mass.get(k, 0) * 2**d
                if mass.get(k, 0) * 10 < mass.get(0, 0):
                    break
        whole = sum(mass.get(0, 0) for mass in self.mass)
        return 1.0 - total / (whole * (2 ** (self.depth + 1) - 1)) if self.full else 0.0

    def learn(self, row):
        box = self.place(row)
        for tree, count in enumerate(self.count):
            *_, (_, leaf) = self.path(tree, box)
            count[leaf] = count.get(leaf, 0) + 1
        for j, value in enumerate(self.both(row)):
            if math.isnan(value):
                continue
            n, mean, variance = self.moments[j]
            d = value - mean
            if variance > 1e-18 * mean * mean:
                d = max(-100.0, min(100.0, d / math.sqrt(variance))) * math.sqrt(variance)
            rate = max(1 / (n + 1), 1 / self.memory)
            self.moments[j] = (n + 1, mean + rate * d, (1 - rate) * (variance + rate * d * d))
        self.rows += 1
        if self.rows == self.window:
            self.mass = [self.faded(*pair) for pair in zip(self.mass, self.count, strict=True)]
            self.count = [{} for _ in self.plan]
            self.rows, self.full = 0, self.full + 1

    def faded(self, mass, count):
        new = {}
        for leaf in range(2**self.depth - 1, 2 ** (self.depth + 1) - 1):
            held = mass.get(leaf, 0)
            held += count.get(leaf, 0) * self.scale - held // self.fade
            k = leaf + 1  # nodes from 1: the one above is the half
            while k:
                new[k - 1] = new.get(k - 1, 0) + held
                k //= 2
        return new
