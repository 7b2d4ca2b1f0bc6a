"""How the pages look: light, dark and on A4; every colour is a variable, so that plots follow."""

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --ink: #16202a; --soft: #55626f; --line: #d5dbe1; --paper: #ffffff; --back:
  #f4f6f8; --c1: #2563a8; --c2: #7d8b99; --c3: #0f8a7d; --c4: #b4530a; --c5: #8b2fa0; --review: #d39b00;
  --challenge: #2b8fd6; --hold: #d2571a; --decline: #9c1f4e; --bad: #a81b1b; --warn: #fff4d6; --warnline:
  #c99700 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --soft: #a3afba; --line: #36424d; --paper:
  #1b232b; --back: #12181e; --c1: #6ea8e6; --c2: #93a1ae; --c3: #4fc4b5; --c4: #f0a05a; --c5: #d08be0; --review:
  #f0c34a; --challenge: #66b8f0; --hold: #ff8f57; --decline: #f0739f; --bad: #ff8b8b; --warn: #3a3115;
  --warnline: #a98516 } }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", "PingFang SC",
  "Microsoft YaHei", Helvetica, Arial, sans-serif; color: var(--ink); background: var(--back); margin: 0 }
main { max-width: 1080px; margin: 0 auto; padding: 28px 20px 60px }
h1 { font-size: 25px; line-height: 1.2; margin: 0 0 4px }
h2 { font-size: 19px; margin: 0 0 10px }
h3 { font-size: 15px; margin: 18px 0 6px }
p { margin: 6px 0 }
.soft, caption, figcaption { color: var(--soft); font-size: 13px }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; padding: 18px 20px;
  margin: 16px 0 }
nav { margin: 14px 0 0; font-size: 13px; display: flex; flex-wrap: wrap; gap: 2px 16px }
nav a { color: var(--c1) }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(225px, 1fr)); gap: 10px; margin: 16px 0 }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px }
.card b { display: block; font-size: 21px; line-height: 1.25; font-variant-numeric: tabular-nums; overflow-wrap:
  anywhere }
.card span { color: var(--soft); font-size: 13px; display: block }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; margin: 8px 0; font-size: 13.5px; font-variant-numeric:
  tabular-nums }
caption { text-align: left; padding-bottom: 4px }
th, td { text-align: left; padding: 4px 12px 4px 0; vertical-align: top; border-bottom: 1px solid var(--line);
  overflow-wrap: break-word }
th { font-weight: 600 }
thead th { vertical-align: bottom }
td.k, tbody th { white-space: nowrap }
table.narrow { width: auto; min-width: 380px }
thead th { border-bottom: 1.5px solid var(--soft) }
tbody th { font-weight: 400 }
td.n, th.n { text-align: right; white-space: nowrap }
tr.total th, tr.total td { font-weight: 600 }
figure { margin: 8px 0 14px }
figcaption { margin-bottom: 2px; color: var(--ink); font-weight: 600; font-size: 14px }
svg.plot { width: 100%; max-width: 720px; height: auto; display: block }
svg text { font-size: 11px; fill: var(--soft) }
svg.cell { width: 90px; height: 9px; display: inline-block; vertical-align: middle }
.track { fill: var(--line) }
.grid { stroke: var(--line); stroke-width: 1 }
.line { fill: none !important; stroke-width: 1.8; stroke-linejoin: round }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 4px 26px }
details { margin: 4px 0 }
summary { cursor: pointer; color: var(--c1); font-size: 13px }
.warn { background: var(--warn); border: 1px solid var(--warnline); border-radius: 8px; padding: 10px 14px;
  margin: 14px 0 }
.inset { padding-left: 14px; color: var(--soft) }
.empty { color: var(--soft); font-style: italic }
code { font: 12px/1.4 ui-monospace, "DejaVu Sans Mono", Menlo, monospace; overflow-wrap: anywhere }
.bad { color: var(--bad); font-weight: 600 }
footer { color: var(--soft); font-size: 13px }
th.n { white-space: normal } tbody td:not(.n):nth-child(2) { min-width: 150px }
@media print {
  @page { size: A4; margin: 12mm 11mm }
  :root { color-scheme: light; --ink: #111; --soft: #444; --line: #bbb; --paper: #fff; --back: #fff; --c1: #2563a8;
    --c2: #7d8b99; --c3: #0f8a7d; --c4: #b4530a; --c5: #8b2fa0; --review: #d39b00; --challenge: #2b8fd6;
    --hold: #d2571a; --decline: #9c1f4e; --bad: #a81b1b; --warn: #fff; --warnline: #444 }
  body { font-size: 9pt } main { max-width: none; padding: 0 } nav { display: none } h1 { font-size: 16pt }
  h2 { font-size: 12pt } section { border: 0; border-top: 1px solid var(--soft); border-radius: 0; padding: 6px 0 0;
    margin: 10px 0 } .card, .warn { border-radius: 0; padding: 5px 8px } .cards { grid-template-columns: repeat(4, 1fr);
    gap: 6px; margin: 8px 0 } .card b { font-size: 11.5pt } .card span { font-size: 7.5pt }
  .pair { grid-template-columns: 1fr 1fr; gap: 0 12px } .scroll { overflow: visible }
  .soft, caption, footer { font-size: 8pt } figcaption { font-size: 9pt }
  table { font-size: 7.6pt; margin: 4px 0 } th, td { padding: 2px 7px 2px 0 } svg.cell { width: 52px }
  tbody td:not(.n):nth-child(2) { min-width: 34mm } thead { display: table-header-group }
  tr, figure, .card { break-inside: avoid } h2, h3, figcaption, caption { break-after: avoid }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact }
}
"""
