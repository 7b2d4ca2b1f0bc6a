"""How the results that say what is noticed stand on the page; those that say what it costs: benchmarks/sections.py."""

from benchmarks.columns import Column, Section

QUALITY = (
    Column("roc_auc", "AUC ROC", "{:.3f}"),
    Column("average_precision", "average precision", "{:.3f}"),
    Column("card_precision_100", "CP@100", "{:.3f}"),
)
DETECTORS = (
    Column("half_space_trees", "half-space trees", "{:.3f}"),
    Column("isolation_forest", "isolation forest", "{:.3f}"),
    Column("consensus", "consensus", "{:.3f}"),
)
BANK_VIEW = (
    Column("bank_roc_auc", "all: AUC ROC", "{:.3f}"),
    Column("bank_average_precision", "average precision", "{:.3f}"),
    Column("recall_0.1", "recall at 0.1 %", "{:.1%}"),
    Column("recall_0.5", "0.5 %", "{:.1%}"),
    Column("recall_1", "1 %", "{:.1%}"),
)
APART = (
    Column("roc_auc", "AUC ROC"),
    Column("average_precision", "average precision"),
    Column("card_precision_100", "CP@100"),
)
RECALL = (
    Column("frauds", "frauds", "{:,}"),
    Column("recall_0.1", "recall at 0.1 %", "{:.1%}"),
    Column("recall_0.5", "0.5 %", "{:.1%}"),
    Column("recall_1", "1 %", "{:.1%}"),
)
PACKS = ("core", "fraud-cn", "aml-cn")
LAUNDERING = (
    Column("attempts", "attempts"),
    Column("hops", "hops seen", "{:,}"),
    Column("alerted", "alerted", "{:.0%}"),
    *(Column(pack, pack, "{:.0%}") for pack in PACKS),
    Column("before", "hops before", "{:.1f}"),
    Column("anyway", "anyway", "{:.0%}"),
    Column("reported", "reported", "{:.0%}"),
    Column("scaled", "alerted, scaled", "{:.0%}"),
)

SECTIONS = {
    "quality": Section(
        "Quality on the handbook recording",
        "One pass, each payment scored before its label is known, labels 7 days later. The four test weeks of the "
        "Fraud Detection Handbook as it measures them (cards known to be compromised are left out), and its own means"
        " over the same weeks, of models fitted anew for each week. CP@100: of the 100 cards with the highest scores "
        "of a day, the share that was compromised, mean over days. Features and parameters were chosen on days before "
        "115; nothing was chosen on the test weeks. Refreshed is fitted anew every week by scikit-learn, all other "
        "models learn label by label. All: every transaction from day 37 on, no card left out; recall at so many % "
        "alerts. Differences are means over the test weeks, ± their deviation. river's models score and learn the same "
        "rows a label at a time, in their defaults; where they get every tenth customer, so does the champion. Its "
        "half-space trees are given what the supervised models read, and some of that is made of labels; our detectors "
        "are not.",
        {
            "rows": (
                Column("week", "test week"),
                Column("transactions", "transactions", "{:,}"),
                Column("frauds", "frauds", "{:,}"),
                *QUALITY,
            ),
            "published": (Column("model", "published"), *QUALITY),
            "models": (
                Column("model", "model of the configuration"),
                *QUALITY,
                *BANK_VIEW,
            ),
            "apart": (Column("model", "the champion, minus"), *APART),
            "peers": (
                Column("model", "on the same inputs"),
                Column("rows", "transactions", "{:,}"),
                *QUALITY,
                Column("ours_average_precision", "ours there: average precision", "{:.3f}"),
                Column("apart_roc_auc", "ours minus it: AUC ROC"),
                Column("apart_average_precision", "average precision"),
                Column("seconds", "s", "{:,.0f}"),
            ),
            "kinds": (Column("kind", "fraud"), *RECALL),
            "calibration": (
                Column("from", "probability from", "{:.3f}"),
                Column("to", "to", "{:.3f}"),
                Column("rows", "transactions", "{:,.0f}"),
                Column("said", "said", "{:.3%}"),
                Column("fraud", "found", "{:.3%}"),
                Column("error", "±", "{:.3%}"),
            ),
            "weekly": (
                Column("week", "week"),
                Column("frauds", "frauds", "{:,.0f}"),
                Column("roc_auc", "AUC ROC", "{:.3f}"),
                Column("average_precision", "average precision", "{:.3f}"),
                Column("recall_at_1_percent", "recall at 1 %", "{:.0%}"),
            ),
            "generated": (Column("model", "in a generated bank"), *BANK_VIEW),
            "generated_kinds": (Column("kind", "fraud there"), *RECALL),
        },
    ),
    "bank": Section(
        "What the packs notice",
        "A generated bank (replay/bank/README.md), of a seed that nobody saw while the rules were written, through the "
        "shipped configuration. Attempts at fraud of 13 kinds, easy and hard, and the share of them that got an alert: "
        "from all packs, and counting the rules of one pack alone. Stopped is the money that was challenged, held or "
        "declined; these fraudsters go on whatever is answered. Then honest events that look like fraud. Rules and "
        "traffic come from one house: the table shows that they fit, not what a real bank would see.",
        {
            "rows": (
                Column("typology", "typology"),
                Column("easy", "easy"),
                Column("easy_all", "alerted", "{:.0%}"),
                *(Column(f"easy_{pack}", pack, "{:.0%}") for pack in PACKS),
                Column("hard", "hard"),
                Column("hard_all", "alerted", "{:.0%}"),
                *(Column(f"hard_{pack}", pack, "{:.0%}") for pack in PACKS),
                Column("stopped", "stopped", "{:.0%}"),
            ),
            "look_alikes": (
                Column("kind", "honest, and looks like fraud"),
                Column("events", "events"),
                Column("alerted", "alerted"),
                Column("disturbed", "not simply approved"),
            ),
            "packs": (
                Column("pack", "pack"),
                Column("rules", "rules"),
                Column("honest_alerted", "honest transactions alerted", "{:.4%}"),
                Column("look_alikes_alerted", "look-alikes alerted", "{:.2%}"),
            ),
            "limits": (
                Column("what", "asked for"),
                Column("limit", "limit", "{:.1%}"),
                Column("found", "found", "{:.3%}"),
            ),
        },
    ),
    "laundering": Section(
        "Laundering patterns from elsewhere",
        "185 laundering attempts that somebody else thought up (IBM's AMLworld, HI-Small), put into the traffic of a "
        "generated bank without frauds; benchmarks/bench_laundering.py says how. In the first table all accounts of an "
        "attempt bank here, which no bank ever has; in the second only the busiest one does. Hops before: how many the "
        "bank had seen before the one that was alerted, median. Anyway: these accounts had an alert in these days "
        "without the attempt, too. Reported: a large-value report was due, which is no suspicion. Scaled: all amounts "
        "shrunk by one factor, so that their median is what people here usually pay. No rule was changed because of "
        "this.\n\n**Found** is money that goes on in nearly the same sum to somebody new within days (cycle, random, "
        "stack), more often where the bank sees several accounts of the chain, and payees that are added in bulk (fan "
        "out, the first half of scatter gather). AMLworld knows no adding of payees: it comes with our rendering as "
        "payments from the app, and in a recording this short nearly all that is found of one account, but for "
        "circles, rests on it.\n\n**Not found** is an account that only collects (fan in): nothing leaves it within "
        "the attempt, and the rules wait for that. Nor pairs that pay once (bipartite), half of them a single "
        "transfer. Gather scatter takes about a week, the rules on mules look at one or two days and most ask for a "
        "young account, and most accounts here are years old. Of a cycle, a stack or a random walk one bank alone sees "
        "one receipt and one payment, often of another sum. With everyday sums next to nothing is found: the floors "
        "that leave honest people alone leave small launderers alone as well.",
        {
            "rows": (Column("family", "all accounts here"), *LAUNDERING),
            "hub": (Column("family", "busiest account here, others elsewhere"), *LAUNDERING),
            "rules": (
                Column("rule", "rule"),
                Column("pack", "pack"),
                Column("rows", "attempts alerted, all here"),
                Column("hub", "busiest here"),
                Column("rows_scaled", "all here, scaled"),
                Column("hub_scaled", "busiest here, scaled"),
            ),
        },
    ),
    "detectors": Section(
        "Detectors without labels",
        "AUC ROC on labelled anomalies that nobody here planted: one pass, scored before learned, the same default "
        "parameters everywhere. Shuffled, mean of all orders; the consensus is that of the two before it. river's "
        "half-space trees see a sample of 20,000 rows, ours beside them the same rows. Published are half-space trees "
        "(HST), online isolation forest (oIFOR), robust random cut forest (RRCF), LODA and isolation forest ASD "
        "(Leveni et al., ICML 2024). In their own order the anomalies come in bursts, and a detector with a short "
        "memory takes them for the normal. Then the Numenta Anomaly Benchmark, standard profile, published scoring and "
        "one threshold for all series; the deviation from the own week is the third member. Windowed Gaussian is NAB's "
        "own, made anew to check the scorer. Least and most are of the seeds. Parameters were chosen on the shuffled "
        "sets, the columns of NAB on NAB: it shows that they fit, not what another series would give.",
        {
            "rows": (
                Column("set", "shuffled"),
                Column("rows", "rows", "{:,}"),
                Column("anomalies", "anomalies", "{:,}"),
                *DETECTORS,
                Column("river_sample", "river, sample", "{:.3f}"),
                Column("ours_sample", "ours, sample", "{:.3f}"),
                Column("published_hst", "HST", "{:.3f}"),
                Column("published_oifor", "oIFOR", "{:.3f}"),
                Column("published_rrcf", "RRCF", "{:.3f}"),
                Column("published_loda", "LODA", "{:.3f}"),
                Column("published_ifasd", "IF ASD", "{:.3f}"),
            ),
            "in_order": (
                Column("set", "in its own order"),
                *DETECTORS,
                Column("river", "river", "{:.3f}"),
            ),
            "nab": (
                Column("detector", "NAB"),
                Column("score", "score", "{:.1f}"),
                Column("least", "least", "{:.1f}"),
                Column("most", "most", "{:.1f}"),
            ),
            "nab_published": (
                Column("detector", "NAB, published"),
                Column("score", "score", "{:.1f}"),
            ),
        },
    ),
}  # fmt: skip
