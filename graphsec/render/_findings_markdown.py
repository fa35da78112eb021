"""Findings in Markdown, for a comment on a pull request: what is new in the open, what is known folded away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from graphsec.model.text import counted
from graphsec.query._finding import NEW, SUPPRESSED, UNCHANGED, Finding
from graphsec.render._findings import Report, evidence
from graphsec.render._markdown_text import escaped, folded, prose, row, table

#: GitHub refuses a comment of more than 65,536 characters.
MAX_CHARACTERS = 60_000
_HEAD = ("Severity", "Query", "Subject", "Finding", "Where")


def finding_blocks(found: Report) -> Iterator[list[str]]:
    """Paragraphs, tables and folded parts, of ``MAX_CHARACTERS`` in all; what does not fit is counted."""
    severities = ", ".join(f"{count:,} {severity}" for severity, count in found.by_severity(NEW).items() if count)
    known, excepted = (len(found.in_state(state)) for state in (UNCHANGED, SUPPRESSED))
    new = found.in_state(NEW)
    head = f"**{counted(len(new), 'new finding')}**" + (f" ({severities})" if severities else "")
    yield [f"{head}, {known:,} in the baseline, {excepted:,} excepted."]
    if not found.answer.complete:
        yield ["**The input is incomplete:** what is not found here may be there all the same."]
    room = _Room()
    if new:
        yield room.table(_HEAD, new)
    proofs = [line for finding in new for line in _proof(finding)]
    if proofs and room.take(proofs):
        yield folded("Evidence of what is new", proofs)
    for state, title in ((UNCHANGED, "in the baseline"), (SUPPRESSED, "excepted")):
        findings = found.in_state(state)
        if findings:
            columns = (*_HEAD, "Reason") if state == SUPPRESSED else _HEAD
            yield folded(f"{counted(len(findings), 'finding')} {title}", room.table(columns, findings))


class _Room:
    """The characters that are left."""

    def __init__(self) -> None:
        self._left = MAX_CHARACTERS

    def take(self, lines: Sequence[str]) -> bool:
        size = sum(len(line) + 1 for line in lines)
        if size > self._left:
            return False
        self._left -= size
        return True

    def table(self, head: Sequence[str], findings: Sequence[Finding]) -> list[str]:
        rows: list[str] = []
        for written in map(_row, findings):
            if not self.take([written]):
                break
            rows.append(written)
        more = len(findings) - len(rows)
        said = ["", f"{more:,} more {'does' if more == 1 else 'do'} not fit into a comment: `-o json` has all."]
        return [*table(head, rows), *(said if more else [])]


def _row(finding: Finding) -> str:
    query = f"{escaped(finding.id)} {prose(finding.title)}"
    cells = [finding.severity, query, *map(escaped, (finding.subject, finding.message, str(finding.source or "-")))]
    return row([*cells, escaped(finding.exemption.reason)] if finding.exemption else cells)


def _proof(finding: Finding) -> Iterator[str]:
    yield f"- {escaped(finding.subject)} {escaped(finding.message)}"
    for text, source in [(hop.text, hop.source) for hop in finding.steps] or evidence(finding):
        yield f"  1. {escaped(text)}{f' {escaped(str(source))}' if source else ''}"
