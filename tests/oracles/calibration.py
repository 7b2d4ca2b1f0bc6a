"""The calibrating line by matrices, one row at a time: slow, short, and without a line of the kernel's code."""

import numpy as np

SLOPES = (0.02, 3.0)
EDGES = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8)


class NaiveLine:
    """Log odds = line . columns(z); a lesson is one step of a Kalman filter on the logistic likelihood."""

    def __init__(self, knots, line, doubt, stiffness, frauds):
        self.knots, self.line = list(knots), np.array(line, float)
        self.doubt, self.cov = np.array(doubt, float), np.diag(np.array(doubt, float))
        self.stiffness, self.frauds = stiffness, frauds
        self.lessons = []  # (p, label, what is left of it), newest last
        self.turned = []

    def columns(self, z):
        first, last = self.knots[0], self.knots[-1]
        inner = [
            np.clip(z, low, high) - low
            for low, high in zip(self.knots, self.knots[1:], strict=False)
        ]
        return np.array([1.0, min(z, first) - first, *inner, max(z, last) - last])

    def say(self, z):
        return 1.0 / (1.0 + np.exp(-(self.line @ self.columns(z))))

    def learn(self, z, label):
        h, p = self.columns(z), self.say(z)
        gain = self.cov @ h
        curvature = max(p * (1.0 - p), 1e-6) * self.stiffness
        denominator = 1.0 + curvature * (h @ gain)
        if label >= 2:
            self.line = self.line + gain * (1.0 if label == 2 else -1.0) / denominator
        else:
            left = max(1.0 - p / self.frauds, 0.5)
            self.line = self.line + gain * (label - p) / denominator
            self.cov = (self.cov - np.outer(gain, gain) * curvature / denominator) / left
            self.lessons = [(q, y, w * left) for q, y, w in self.lessons] + [(p, label, 1.0)]
        for k in range(1, len(self.line)):
            wanted = float(np.clip(self.line[k], *SLOPES))
            if wanted != self.line[k]:
                self.line = self.line + self.cov[k] * (wanted - self.line[k]) / self.cov[k, k]
        self.line[1:] = np.clip(self.line[1:], *SLOPES)
        for k in range(len(self.line)):
            if self.cov[k, k] > self.doubt[k]:
                scale = np.ones(len(self.line))
                scale[k] = np.sqrt(self.doubt[k] / self.cov[k, k])
                self.cov = self.cov * np.outer(scale, scale)

    def told(self):
        """Lessons, what was said and what was, by range of probability; without verdicts that turned."""
        table = np.zeros((3, len(EDGES) + 1))
        for p, label, left in self.lessons:
            at = sum(p >= edge for edge in EDGES)
            table[:, at] += np.array([1.0, p, label]) * left
        return table
