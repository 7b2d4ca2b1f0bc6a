"""Trees that are grown for ever, written down as plainly as possible: rows as objects, every split tried on all rows."""

import math

import numpy as np

from tests.oracles.chance import chance


class Row:
    """A labelled row in memory; `alive` until another one takes its place."""

    def __init__(self, values, label, weight):
        self.values, self.label, self.weight = values, label, weight
        self.alive, self.node, self.pull = True, None, None


class Tree:
    """Splits and values by the path that leads to a node: "" is the root, "LR" the right child of its left child."""

    def __init__(self):
        self.split, self.value = {}, {}

    def step(self, path, values):
        if path not in self.split:
            return path + "L"
        feature, at, missing_right = self.split[path]
        v = values[feature]
        right = missing_right if math.isnan(v) else v >= at
        return path + ("R" if right else "L")

    def leaf(self, values, depth):
        path = ""
        for _ in range(depth):
            path = self.step(path, values)
        return path


class NaiveStreamingTrees:
    """The parameters are those of a `models.streaming_trees.StreamingTrees`."""

    def __init__(self, model, n_trees, n_memory, n_features):
        self.model, self.n_memory, self.n_features = model, n_memory, n_features
        self.trees = [Tree() for _ in range(n_trees)]
        self.memory = []
        self.cuts = [[] for _ in range(n_features)]
        self.labels = self.kept = self.built = self.piece = self.due = self.cut_at = 0
        self.share = 0.0
        self.growing = None

    def seen(self, row):
        return [
            float(np.float32(min(max(v, -1e38), 1e38))) if not math.isnan(v) else v for v in row
        ]

    def contribution(self, tree, values):
        return tree.value.get(tree.leaf(values, self.model.depth), 0.0)

    def score(self, row):
        values = self.seen(row)
        return self.model.prior + sum(self.contribution(tree, values) for tree in self.trees)

    def learn(self, row, label):
        total, values = self.score(row), self.seen(row)
        self.labels += 1
        self.share += max(1 / (self.labels + 1), 1e-5) * (label - self.share)
        drawn = 1.0
        if label == 0 and self.labels > 1024:
            drawn = min(1.0, max(self.share, 1e-4) + 3 / (1 + math.exp(-total)))
        if chance(self.model.seed, self.labels) < drawn:
            new = Row(values, label, 1 / drawn)
            if len(self.memory) < self.n_memory:
                self.memory.append(new)
            else:
                self.memory[self.kept % self.n_memory].alive = False
                self.memory[self.kept % self.n_memory] = new
            self.kept += 1
        if self.labels >= self.due and len(self.memory) >= 64:
            pieces = self.n_memory * (self.model.depth + 1)
            self.due = self.labels + max(8, self.model.period * len(self.memory) // pieces)
            self.work()

    def work(self):
        if self.piece == 0:
            self.begin()
            self.piece = 1
            return
        self.grow(self.piece - 1)
        self.piece += 1
        if self.piece > self.model.depth:
            self.finish()
            self.piece, self.built = 0, self.built + 1

    def begin(self):
        if len(self.memory) >= 2 * self.cut_at:
            self.cut_at = len(self.memory)
            for j in range(self.n_features):
                self.cut(j)
        else:
            self.cut(self.built % self.n_features)
        old, self.growing = self.trees[self.built % len(self.trees)], Tree()
        for r, row in enumerate(self.memory):
            row.node = None
            if chance(self.model.seed + 1 + self.built, r) < self.model.rows_share:
                row.node = ""
                rest = [tree for tree in self.trees if tree is not old]
                margin = self.model.prior + sum(self.contribution(t, row.values) for t in rest)
                p = 1 / (1 + math.exp(-margin))
                row.pull = row.weight * (row.label - p), row.weight * max(p * (1 - p), 1e-4)

    def cut(self, j):
        if len(self.memory) <= 2048:
            some = self.memory
        else:
            some = [self.memory[int(chance(self.built, i) * len(self.memory))] for i in range(2048)]
        value = np.sort([row.values[j] for row in some if not math.isnan(row.values[j])])
        distinct = np.unique(value)
        if len(distinct) <= 63:
            self.cuts[j] = distinct[1:].tolist()
            return
        by_rows = [value[i * len(value) // 32] for i in range(1, 32)]
        by_value = [distinct[i * len(distinct) // 32] for i in range(1, 32)]
        self.cuts[j] = [c for c in np.unique(by_rows + by_value) if c > distinct[0]]

    def grow(self, level):
        groups = {}
        for row in self.memory:
            if row.alive and row.node is not None and len(row.node) == level:
                groups.setdefault(row.node, []).append(row)
        for path, rows in groups.items():
            self.split(path, rows)
            for row in rows:
                row.node = self.growing.step(path, row.values)

    def split(self, path, rows):
        values = np.array([row.values for row in rows])
        pull = np.array([row.pull for row in rows])
        ridge, least = self.model.ridge, self.model.leaf_rows

        def worth(g, h):
            return g * g / (h + ridge)

        all_g, all_h = pull.sum(axis=0)
        best = 1e-12 * worth(all_g, all_h)
        for j in range(self.n_features):
            absent = np.isnan(values[:, j])
            for missing_right in (False, True)[: 1 + absent.any()]:
                for at in self.cuts[j]:
                    left = np.where(absent, not missing_right, values[:, j] < at)
                    if min(left.sum(), (~left).sum()) < least:
                        continue
                    gain = worth(*pull[left].sum(axis=0)) + worth(*pull[~left].sum(axis=0))
                    gain -= worth(all_g, all_h)
                    if gain > best + 1e-12 * worth(all_g, all_h):
                        best = gain
                        self.growing.split[path] = j, at, missing_right

    def finish(self):
        total = {}
        for row in self.memory:
            if row.alive and row.node is not None:
                for n in range(len(row.node) + 1):
                    g, h = total.get(row.node[:n], (0.0, 0.0))
                    total[row.node[:n]] = g + row.pull[0], h + row.pull[1]
        for path, (g, h) in total.items():
            step = min(max(g / (h + self.model.ridge), -4.0), 4.0)
            self.growing.value[path] = self.model.rate * step
        self.trees[self.built % len(self.trees)] = self.growing
