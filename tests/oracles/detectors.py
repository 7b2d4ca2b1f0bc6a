"""Detectors of anomalies in plain Python, one row after the other, to hold the kernels against."""

import math

from tests.oracles.chance import chance


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
        if self.rows == self.window or (not self.full and self.rows == 64):
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


class NaiveIsolation:
    """An isolation forest of nested dicts; NaN stays NaN."""

    def __init__(self, model):
        plan = model.save()
        self.trees, inner = plan["feature"].shape
        self.depth, self.room = (inner + 1).bit_length() - 1, len(plan["pool"])
        self.sample, self.every = model.sample, model.every
        self.memory, self.seed = model.memory_rows, model.seed
        self.pool, self.rows, self.drawn, self.forest = [], 0, 0, [None] * self.trees

    def draw(self):
        self.drawn += 1
        return chance(self.seed, self.drawn - 1)

    def mean_path(self, n):
        if n < 3:
            return max(0.0, n - 1.0)
        return 2 * (math.log(n - 1) + 0.5772156649015329) - 2 * (n - 1) / n

    def grow(self, is_log):
        rows = list(range(len(self.pool)))
        n = min(self.sample, len(rows))
        for a in range(n):
            b = a + int(self.draw() * (len(rows) - a))
            rows[a], rows[b] = rows[b], rows[a]
        root = {"rows": rows[:n], "depth": 0}
        level = [root]
        inputs = list(range(len(self.pool[0])))
        while level:  # level by level, from left to right: the order in which numbers are drawn
            below = []
            for node in level:
                if node["depth"] < self.depth and len(node["rows"]) > 1:
                    below += self.divide(node, inputs, is_log)
            level = below
        return root

    def divide(self, node, inputs, is_log):
        for tried in range(len(inputs)):
            drawn = tried + int(self.draw() * (len(inputs) - tried))
            inputs[tried], inputs[drawn] = inputs[drawn], inputs[tried]
            j = inputs[tried]
            known = [r for r in node["rows"] if not math.isnan(self.pool[r][j])]
            values = [self.pool[r][j] for r in known]
            if not values or min(values) == max(values):
                continue
            u, low, high = self.draw(), min(values), max(values)
            at = low + (high - low) * u
            if is_log:
                a, b = (math.copysign(math.log1p(abs(v)), v) for v in (low, high))
                c = a + (b - a) * u
                at = math.copysign(math.expm1(abs(c)), c)
            if not low < at < high:
                at = (low + high) / 2
            left = [r for r in known if self.pool[r][j] < at]
            sides = [left, [r for r in known if r not in left]]
            heavier = 1 if 2 * len(left) < len(known) else 0
            sides[heavier] += [r for r in node["rows"] if r not in known]
            node |= {"input": j, "at": at, "heavier": heavier}
            node["sides"] = [{"rows": side, "depth": node["depth"] + 1} for side in sides]
            return [node["sides"][heavier], node["sides"][1 - heavier]]
        return []

    def path(self, node, row):
        while "sides" in node:
            value = row[node["input"]]
            side = node["heavier"] if math.isnan(value) else int(value >= node["at"])
            node = node["sides"][side]
        return node["depth"] + self.mean_path(len(node["rows"]))

    def score(self, row):
        if self.rows < 64:
            return 0.0
        mean = sum(self.path(tree, row) for tree in self.forest) / self.trees
        return 1 - mean / (self.depth + self.mean_path(self.sample))

    def learn(self, row):
        if len(self.pool) < self.room:
            self.pool.append(list(row))
        else:
            enters, place = self.draw(), self.draw()
            if enters * min(self.rows + 1, self.memory) < self.room:
                self.pool[int(place * self.room)] = list(row)
        self.rows += 1
        if self.rows < 64:
            return
        if self.rows <= self.room and self.rows.bit_count() == 1:
            self.forest = [self.grow(t % 2 == 1) for t in range(self.trees)]
        elif self.rows % self.every == 0:
            t = self.rows // self.every % self.trees
            self.forest[t] = self.grow(t % 2 == 1)


class NaiveConsensus:
    """Scores of each member in a list that is counted through."""

    def __init__(self, model):
        self.room, self.memory = model.save()["known"].shape[1], model.memory_rows
        self.alone, self.seed = model.alone, model.seed
        self.known = [[] for _ in range(len(model.save()["known"]))]
        self.seen = [0] * len(self.known)

    def surprise(self, known, value):
        n, ordered = len(known), sorted(known)
        less, same = sum(v < value for v in known), sum(v == value for v in known)
        if same:
            rank = less + same / 2
        elif less == 0:
            return 0.0
        elif less == n:
            top, middle = ordered[-1], ordered[n // 2]
            far = min(20.0, (value - top) / (top - middle)) if top > middle else 20.0
            return math.log(n + 1) + math.log1p(far)
        else:
            below, above = ordered[less - 1], ordered[less]
            rank = less - 0.5 + (value - below) / (above - below)
        return -math.log((n + 0.5 - rank) / (n + 1))

    def score(self, row):
        heard = [
            self.surprise(known, value)
            for known, value in zip(self.known, row, strict=True)
            if not math.isnan(value) and len(known) >= 32
        ]
        if len(heard) > 2:
            limit = sorted(heard)[-2] + self.alone
            heard = [min(say, limit) for say in heard]
        return sum(heard) / len(heard) if heard else 0.0

    def learn(self, row):
        for j, value in enumerate(row):
            if math.isnan(value):
                continue
            drawn = 2 * (self.seen[j] * len(row) + j)
            self.seen[j] += 1
            if len(self.known[j]) < self.room:
                self.known[j].append(value)
            elif chance(self.seed, drawn) * min(self.seen[j], self.memory) < self.room:
                gone = int(chance(self.seed, drawn + 1) * self.room)
                self.known[j].remove(sorted(self.known[j])[gone])
                self.known[j].append(value)


class NaiveDeviation:
    """Groups of value, centre, spread, from lists of everything seen: for streams shorter than the memory."""

    def __init__(self, least, below):
        self.least, self.below, self.far, self.shares = least, below, {}, {}

    def distance(self, g, value, centre, spread):
        """None where there is no normal."""
        if math.isnan(value) or math.isnan(centre):
            return None
        usual = self.shares.get(g, 0.0)
        wide = max(0.0 if math.isnan(spread) else spread, self.least * usual * abs(centre))
        if wide == 0.0:
            return None
        d = value - centre
        return math.log1p((d if d >= 0 else -self.below * d) / wide)

    def groups(self, row):
        return enumerate(zip(row[::3], row[1::3], row[2::3], strict=True))

    def score(self, row):
        total = 0.0
        for g, group in self.groups(row):
            d, seen = self.distance(g, *group), self.far.get(g, [])
            if d is None or len(seen) < 2:
                continue
            mean = sum(seen) / len(seen)
            deviation = math.sqrt(sum((v - mean) ** 2 for v in seen) / len(seen))
            if deviation > 0:
                z = max(-8.0, min(8.0, (d - mean) / deviation))
                total += z + max(z, 0.0) ** 2 / 2
        return total

    def learn(self, row):
        for g, group in self.groups(row):
            d = self.distance(g, *group)
            if d is not None:
                self.far.setdefault(g, []).append(d)
            _, centre, spread = group
            if centre != 0 and not math.isnan(centre) and not math.isnan(spread):
                rate = 1 / (len(self.far.get(g, [])) + 1)
                old = self.shares.get(g, 0.0)
                self.shares[g] = old + rate * (min(abs(spread / centre), 10.0) - old)
