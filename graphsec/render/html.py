"""Findings as one offline page for a review meeting: nothing in it is fetched, and no name of the input is markup."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any, cast

from graphsec.model.coverage import Coverage, State
from graphsec.model.diagnostic import Diagnostic
from graphsec.model.ref import Source
from graphsec.model.text import counted, safe
from graphsec.query._answer import Answer
from graphsec.query._finding import NEW, SUPPRESSED, Finding, FindingRule
from graphsec.render._findings import FALLING, GATED, STATES, Report, evidence, report, sentence, worst
from graphsec.render._renderer import Options, Renderer
from graphsec.version import __version__

if TYPE_CHECKING:
    from graphsec.diagram import Fold

#: A path of fewer hops is told with its finding; longer ones get a card.
_SHORT = 2
#: Problems of the input, beyond which a page for people says only how many there are.
_DIAGNOSTICS = 200


def _html(answer: Answer[Any], options: Options) -> str:
    found = report(answer, "html")
    style, script = _asset("report.css"), _asset("report.js")
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    title = f"graphsec {answer.question.command()}"
    lines = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{_text(title)}</title>",
        f"<style>{style}</style>",
        "</head>",
        "<body>",
        '<a class="skip" href="#findings">Skip to the findings</a>',
        *_header(found, title),
        "<main>",
        *_summary(found),
        *_coverage(found),
        *_findings(found),
        *_paths(found),
        *_picture(answer, options),
        *_inventory(found),
        "</main>",
        f"<footer><p>Written by graphsec {__version__}. The page needs no network and sends nothing.</p></footer>",
        f'<script type="application/json" id="graphsec-findings">{_island(found)}</script>',
        f"<script>{script}</script>",
        "</body>",
        "</html>",
    ]
    return "\n".join(lines) + "\n"


# -- parts ---------------------------------------------------------------------------------------------------------


def _header(found: Report, title: str) -> Iterator[str]:
    new = found.by_severity(NEW)
    told = ", ".join(f"{count:,} {severity}" for severity, count in new.items() if count)
    head = f"{counted(sum(new.values()), 'new finding')}{f': {told}' if told else ''}"
    yield f'<header><p class="brand">graphsec report</p><h1>{head}</h1><p><code>{_text(title)}</code></p></header>'
    parts = ["Summary", "Coverage", "Findings", *(["Paths"] if _long(found) else []), "Picture", "Inventory"]
    links = "".join(f'<li><a href="#{part.lower()}">{part}</a></li>' for part in parts)
    yield f'<nav aria-label="Parts of this report"><ul>{links}</ul></nav>'


def _summary(found: Report) -> Iterator[str]:
    new = found.by_severity(NEW)
    yield '<section id="summary"><h2>Summary</h2><ul class="tiles">'
    for severity, count in new.items():
        yield f'<li class="tile {severity if count else "none"}"><strong>{count:,}</strong><span>{severity}, new</span></li>'
    yield "</ul>"
    yield from _bar(new)
    yield from _table(
        "Findings by severity and state. Only new ones count for a gate; unchanged ones stand in the baseline, "
        "suppressed ones are excepted with a reason.",
        ("Severity", *(state.capitalize() for state in STATES), "All"),
        [
            (_badge(severity), *(f"{count:,}" for count in counts), f"{sum(counts):,}")
            for severity in FALLING
            for counts in [[found.by_severity(state)[severity] for state in STATES]]
        ],
        numbers=(1, 2, 3, 4),
    )
    yield "</section>"


def _bar(counts: dict[str, int]) -> Iterator[str]:
    total = sum(counts.values())
    if not total:
        return
    words = ", ".join(f"{count:,} {severity}" for severity, count in counts.items())
    yield f'<svg class="bar" viewBox="0 0 {total} 1" preserveAspectRatio="none" role="img" aria-label="{words}">'
    left = 0
    for severity, count in counts.items():
        if count:
            yield f'<rect class="{severity}" x="{left}" y="0" width="{count}" height="1"></rect>'
        left += count
    yield "</svg>"


def _coverage(found: Report) -> Iterator[str]:
    answer = found.answer
    yield '<section id="coverage"><h2>Coverage</h2>'
    doubts = [
        *(f"{rule} was not answered: {reason}" for rule, reason in sorted(found.unanswered.items())),
        *answer.warnings,
        *_assumed(answer.coverage),
    ]
    if answer.complete and not doubts:
        yield '<div class="banner"><strong>The input holds every kind that was asked about.</strong></div>'
    else:
        head = "What the input could not tell" if not answer.complete else "To keep in mind"
        yield f'<div class="banner open"><strong>{head}</strong>{_list(doubts)}</div>'
    if answer.notes:
        yield f"<details><summary>What was assumed and left out</summary>{_list(answer.notes)}</details>"
    yield from _diagnostics(answer.diagnostics)
    yield "</section>"


def _assumed(coverage: Coverage) -> Iterator[str]:
    kinds = [entry.kind for entry in coverage if entry.state is State.ASSUMED]
    if kinds:
        yield f"That all objects are there is assumed of {', '.join(kinds)}: the input does not prove it"


def _diagnostics(diagnostics: Sequence[Diagnostic]) -> Iterator[str]:
    if not diagnostics:
        return
    yield f"<details><summary>{counted(len(diagnostics), 'problem')} of the input</summary>"
    yield from _table(
        "Problems of the input, each with its place",
        ("Code", "Severity", "Problem", "Where"),
        [
            (found.code, found.severity.value, _text(found.message), _place(found.source))
            for found in diagnostics[:_DIAGNOSTICS]
        ],
    )
    if len(diagnostics) > _DIAGNOSTICS:
        yield f"<p>{len(diagnostics) - _DIAGNOSTICS:,} more: <code>graphsec inspect --diagnostics</code></p>"
    yield "</details>"


def _findings(found: Report) -> Iterator[str]:
    yield '<section id="findings"><h2>Findings</h2>'
    if not found.findings:
        yield f"<p>Nothing was found; {counted(len(found.rules), 'query')} looked for something.</p></section>"
        return
    boxes = "".join(
        f'<label><input type="checkbox" value="{state}" checked> {state} ({len(found.in_state(state)):,})</label>'
        for state in STATES
    )
    yield from _filter("findings", "Filter findings by subject, query, file …", boxes)
    rules = [rule for rule in found.rules if found.by_rule[rule.id]]
    for rule in sorted(rules, key=lambda rule: _order(found.by_rule[rule.id])):
        yield from _card(rule, found.by_rule[rule.id])
    yield "</section>"


def _order(findings: Sequence[Finding]) -> tuple[bool, int, str]:
    """Rules with something new before others, the worst first."""
    new = [finding.severity for finding in findings if finding.state == NEW]
    return (not new, FALLING.index(worst(new or [finding.severity for finding in findings])), findings[0].id)


def _card(rule: FindingRule, findings: Sequence[Finding]) -> Iterator[str]:
    severity = worst([finding.severity for finding in findings])
    tags = " ".join(f'<span class="tag">{_text(tag)}</span>' for tag in rule.tags)
    yield '<article class="card"><div class="head">'
    yield f'{_badge(severity)}<h3>{_text(rule.title)}</h3><span class="ref">{_text(rule.id)}</span>{tags}</div>'
    yield f"<p>{_prose(rule.description)}</p>"
    if rule.remediation:
        yield f'<p class="fix"><strong>Fix.</strong> {_prose(rule.remediation)}</p>'
    if rule.references:
        yield f"<details><summary>References</summary>{_list(rule.references)}</details>"
    yield f'<table class="findings"><caption>{counted(len(findings), "finding")}</caption>'
    yield "<thead><tr>" + "".join(
        f'<th scope="col">{head}</th>' for head in ("State", "Subject", "Finding and evidence", "Where")
    )
    yield "</tr></thead><tbody>"
    for finding in findings:
        yield from _row(finding, severity)
    yield "</tbody></table></article>"


def _row(finding: Finding, head: str) -> Iterator[str]:
    """``head`` is the severity that the card says already."""
    yield f'<tr id="f-{_text(finding.fingerprint)}" data-state="{finding.state}">'
    severity = f" {_badge(finding.severity)}" if finding.severity != head else ""
    yield f'<td><span class="badge state-{finding.state}">{finding.state}</span>{severity}</td>'
    yield f'<th scope="row">{_ref(finding.subject)}</th>'
    yield f"<td>{_text(finding.message)}"
    exemption = finding.exemption
    if finding.state == SUPPRESSED and exemption is not None:
        told = [f"Excepted: {exemption.reason}"]
        told += [f"owner {exemption.owner}"] if exemption.owner else []
        told += [f"expires {exemption.expires}"] if exemption.expires else []
        yield f'<br><span class="soft">{_text("; ".join(told))}</span>'
    yield from _evidence(finding)
    yield f"</td><td>{_place(finding.source)}</td></tr>"


def _evidence(finding: Finding) -> Iterator[str]:
    steps = [(hop.text, hop.source) for hop in finding.steps]
    # What a step tells at its line needs no second telling.
    shown = {source for _, source in steps}
    proofs = [(text, source) for text, source in evidence(finding) if source is None or source not in shown]
    if not steps and not proofs:
        return
    yield "<details><summary>Evidence</summary>"
    if len(steps) > _SHORT:
        yield f'<p><a href="#p-{_text(finding.fingerprint)}">The path, {counted(len(steps), "step")}</a></p>'
    elif steps:
        yield f"<ol>{''.join(map(_told, steps))}</ol>"
    if proofs:
        yield f"<ul>{''.join(map(_told, proofs))}</ul>"
    yield "</details>"


def _told(told: tuple[str, Source | None]) -> str:
    text, source = told
    return f"<li>{_ref(text)} {_place(source) if source else ''}</li>"


def _long(found: Report) -> list[Finding]:
    return [finding for finding in found.findings if len(finding.steps) > _SHORT]


def _paths(found: Report) -> Iterator[str]:
    findings = _long(found)
    if not findings:
        return
    yield '<section id="paths"><h2>Paths</h2>'
    yield f"<p>{counted(len(findings), 'finding')} that take more than {_SHORT} steps, each step with the line that makes it possible.</p>"
    yield from _filter("paths", "Filter paths …", "")
    yield '<div class="paths">'
    for finding in findings:
        key = _text(finding.fingerprint)
        yield f'<article class="path {finding.severity}" id="p-{key}">'
        yield f"{_badge(finding.severity)} <h3>{_text(sentence(finding))}</h3>"
        yield f'<p class="soft"><a href="#f-{key}">{_text(finding.id)}</a>, {finding.state}</p><ol>'
        for hop in finding.steps:
            yield f"<li>{_text(hop.text)}{_place(hop.source) if hop.source else ''}</li>"
        yield "</ol></article>"
    yield "</div></section>"


def _picture(answer: Answer[Any], options: Options) -> Iterator[str]:
    from graphsec.diagram import RenderError

    yield '<section id="picture"><h2>Picture</h2>'
    diagram = answer.diagram(fold=cast("Fold", options.fold), max_nodes=options.max_nodes)
    if not diagram.nodes:
        yield "<p>There is nothing to draw.</p></section>"
        return
    try:
        svg = diagram.svg()
        # Without prolog and document type, which belong at the top of a file.
        yield f'<figure role="group" aria-label="Diagram of the evidence">{svg[svg.index("<svg") :]}</figure>'
        told = [f"{diagram.nodes:,} nodes", *diagram.note.splitlines()]
        yield f'<p class="soft">{_text("; ".join(told))}</p>'
    except RenderError as error:
        yield f"<p>{_text(error.message)}. <code>-o mermaid</code> and <code>-o dot</code> need no Graphviz.</p>"
    yield "</section>"


def _inventory(found: Report) -> Iterator[str]:
    yield '<section id="inventory"><h2>Inventory</h2>'
    yield from _filter("inventory", "Filter subjects, kinds and queries …", "")
    by_subject = defaultdict[str, list[Finding]](list)
    for finding in found.findings:
        by_subject[finding.subject].append(finding)
    subjects = sorted(by_subject.items(), key=lambda entry: (_order(entry[1])[:2], -len(entry[1]), entry[0]))
    heads = (*(state.capitalize() for state in STATES), "All")
    yield from _table(
        f"{counted(len(subjects), 'subject')} with findings, the worst first",
        ("Subject", "Worst", *heads),
        [
            (_ref(subject), _badge(worst([finding.severity for finding in own])), *_counts(own))
            for subject, own in subjects
        ],
        numbers=(2, 3, 4, 5),
    )
    yield from _table(
        f"{counted(len(found.rules), 'query')} that looked for something",
        ("Query", "Severity", "Title", *heads),
        [
            (
                f'<span class="ref key">{_text(rule.id)}</span>',
                _badge(rule.severity),
                _text(rule.title),
                *_found(found, rule),
            )
            for rule in found.rules
        ],
        numbers=(3, 4, 5, 6),
    )
    kinds = list(found.answer.coverage)
    yield from _table(
        "Kinds loaded, and what is known of their listing",
        ("Kind", "Objects", "Listing", "Because", "From"),
        [
            (
                _ref(entry.kind),
                f"{entry.objects:,}",
                f"{'assumed full' if entry.state is State.ASSUMED else entry.state.value}",
                _text("; ".join(entry.reasons)),
                _text(_few(entry.sources)),
            )
            for entry in kinds
        ],
        numbers=(1,),
    )
    yield "</section>"


def _few(names: Sequence[str]) -> str:
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {counted(more, 'more file')}" if more > 0 else "")


def _counts(findings: Sequence[Finding]) -> list[str]:
    numbers = [sum(finding.state == state for finding in findings) for state in STATES]
    return [f"{number:,}" if number else "–" for number in (*numbers, sum(numbers))]


def _found(found: Report, rule: FindingRule) -> list[str]:
    if rule.id in found.unanswered:
        return ["not answered", "–", "–", "–"]
    return _counts(found.by_rule[rule.id])


# -- pieces --------------------------------------------------------------------------------------------------------


def _table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Sequence[int] = (),
) -> Iterator[str]:
    """Cells are markup."""
    classes = dict.fromkeys(numbers, ' class="number"')
    yield f'<div class="scroll"><table><caption>{caption}</caption><thead><tr>'
    yield "".join(f'<th scope="col"{classes.get(at, "")}>{cell}</th>' for at, cell in enumerate(head))
    yield "</tr></thead><tbody>"
    for row in rows:
        cells = "".join(f"<td{classes.get(at, '')}>{cell}</td>" for at, cell in enumerate(row[1:], start=1))
        yield f'<tr><th scope="row">{row[0]}</th>{cells}</tr>'
    yield "</tbody></table></div>"


def _filter(of: str, label: str, boxes: str) -> Iterator[str]:
    """Hidden until the script, without which it would do nothing, shows it."""
    yield (
        f'<div class="filter" data-of="{of}" hidden><input type="search" placeholder="{label}" aria-label="{label}">'
        f'{boxes}<output class="soft"></output></div>'
    )


def _badge(severity: str) -> str:
    return f'<span class="badge {severity}">{severity}</span>'


def _ref(text: str) -> str:
    return f'<span class="ref">{_text(text).replace("/", "/<wbr>")}</span>'


def _place(source: Source | None) -> str:
    # A long path breaks between folders.
    path = _text(str(source)).replace("/", "/<wbr>")
    return f'<span class="ref place">{path}</span>' if source else '<span class="soft">in no file</span>'


def _list(texts: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{_prose(text)}</li>' for text in texts)}</ul>"


def _text(text: str) -> str:
    return escape(safe(text))


def _prose(text: str) -> str:
    """Sentences, in which `code` is code."""
    parts = " ".join(text.split()).split("`")
    if len(parts) % 2 == 0:
        return _text(text)
    return "".join(f"<code>{_text(part)}</code>" if number % 2 else _text(part) for number, part in enumerate(parts))


def _island(found: Report) -> str:
    """What other tools read of the page: JSON in which no character starts markup."""
    rows = [
        {
            "id": safe(finding.id),
            "fingerprint": finding.fingerprint,
            "severity": finding.severity,
            "state": finding.state,
            "subject": safe(finding.subject),
        }
        for finding in found.findings
    ]
    text = json.dumps(rows, sort_keys=True, separators=(",", ":"))
    return text.translate({ord(char): f"\\u{ord(char):04x}" for char in "<>&"})


@cache
def _asset(name: str) -> str:
    return (resources.files("graphsec") / "data" / "report" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


RENDERER = Renderer(
    name="html", suffix=".html", help="findings as one offline page for a review", render=_html, only=GATED
)
